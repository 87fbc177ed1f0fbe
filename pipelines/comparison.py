"""Pipeline: from COCO data to a comparison of compressed networks."""

from zenml import Model, pipeline

from configs.schema import RunConfig
from configs.trainings import trainings_of
from models.variant_spec import BASELINE
from pipelines.devices import Devices
from pipelines.variant_list import of_training
from pipelines.variant_steps import step_of
from pipelines.variants import MODEL, Trained, draw_and_compare, sweep
from steps.fingerprint_dataset import fingerprint_dataset
from steps.ingest_coco import ingest_coco
from steps.train_unet import train_unet


@pipeline(model=Model(name=MODEL))
def comparison(config: RunConfig, devices: Devices) -> None:
    """Fingerprint -> ingest -> train -> decompose -> (compress -> recover? -> evaluate) x N, time, draw -> compare."""
    fingerprint = fingerprint_dataset(config.data.format)
    dataset = ingest_coco(fingerprint, config.data)
    trained = []
    for training in trainings_of(config):
        own, id_ = training.config, step_of("train_unet", of_training(BASELINE, training).training)
        sections = (own.model, own.training, own.input)
        trained.append(Trained(training, *train_unet(dataset, *sections, own.seed, devices.of(id_), id=id_)))
    swept = sweep(trained, dataset, devices)
    draw_and_compare(swept, trained, dataset, config, devices)
