"""Pipeline: from COCO data to a comparison of compressed networks."""

from zenml import Model, pipeline

from configs.schema import RunConfig
from pipelines.devices import Devices
from pipelines.variants import MODEL, sweep
from steps.compare import compare
from steps.draw_pictures import draw_pictures
from steps.fingerprint_dataset import fingerprint_dataset
from steps.ingest_coco import ingest_coco
from steps.train_unet import train_unet


@pipeline(model=Model(name=MODEL))
def comparison(config: RunConfig, devices: Devices) -> None:
    """Fingerprint -> ingest -> train -> decompose -> (compress -> recover? -> evaluate) x N -> draw -> compare."""
    fingerprint = fingerprint_dataset()
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
    shown = (swept.results, swept.networks, swept.tunings, swept.spectra)
    pictures = draw_pictures(*shown, dataset, baseline, history, devices.of("draw_pictures"))
    compare(dataset, history, baseline, swept.networks, swept.tunings, swept.results, pictures, config)
