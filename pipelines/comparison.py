"""Pipeline: from COCO data to a comparison of compressed networks."""

from zenml import Model, pipeline

from configs.schema import RunConfig
from pipelines.devices import Devices
from pipelines.variants import MODEL, draw_and_compare, sweep
from steps.fingerprint_dataset import fingerprint_dataset
from steps.ingest_coco import ingest_coco
from steps.train_unet import train_unet


@pipeline(model=Model(name=MODEL))
def comparison(config: RunConfig, devices: Devices) -> None:
    """Fingerprint -> ingest -> train -> decompose -> (compress -> recover? -> evaluate) x N, time, draw -> compare."""
    fingerprint = fingerprint_dataset(config.data.format)
    dataset = ingest_coco(fingerprint, config.data)
    baseline, history = train_unet(
        dataset,
        config.model,
        config.training,
        config.input,
        seed=config.seed,
        device=devices.of("train_unet"),
    )
    swept = sweep(baseline, dataset, config, devices)
    draw_and_compare(swept, baseline, history, dataset, config, devices)
