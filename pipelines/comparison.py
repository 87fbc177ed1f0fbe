"""Pipeline: from COCO data to a comparison of compressed networks."""

from typing import Any

from zenml import Model, pipeline

from configs.schema import RunConfig
from configs.trainings import Training, trainings_of
from models.variant_spec import BASELINE
from pipelines.devices import Devices
from pipelines.variant_list import of_training
from pipelines.variant_steps import step_of
from pipelines.variants import MODEL, Trained, draw_and_compare, sweep
from steps.fingerprint_dataset import fingerprint_dataset
from steps.ingest_coco import ingest_coco
from steps.train_distilled import train_distilled
from steps.train_unet import train_unet


@pipeline(model=Model(name=MODEL))
def comparison(config: RunConfig, devices: Devices) -> None:
    """Fingerprint -> ingest -> train -> decompose -> (compress -> recover? -> evaluate) x N, time, draw -> compare."""
    fingerprint = fingerprint_dataset(config.data.format)
    dataset = ingest_coco(fingerprint, config.data)
    trained: list[Trained] = []
    for training in trainings_of(config):
        teacher = next((each.network for each in trained if each.training.teaches(training)), None)
        trained.append(_trained(training, dataset, teacher, devices))
    swept = sweep(trained, dataset, devices)
    draw_and_compare(swept, trained, dataset, config, devices)


def _trained(training: Training, dataset: Any, teacher: Any, devices: Devices) -> Trained:
    """Adds a training to the pipeline; a taught one is named like the others, `train_unet_<training>`."""
    own, id_ = training.config, step_of("train_unet", of_training(BASELINE, training).training)
    settings = (own.model, own.training, own.input, own.seed, devices.of(id_))
    if teacher is None:
        return Trained(training, *train_unet(dataset, *settings, id=id_))
    return Trained(training, *train_distilled(dataset, teacher, training.distilled, *settings, id=id_))
