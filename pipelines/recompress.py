"""Pipeline: from a network that exists already to a comparison of compressed networks. Trains nothing."""

from uuid import UUID

from zenml import Model, pipeline
from zenml.client import Client

from configs.schema import RunConfig
from configs.trainings import trainings_of
from pipelines.devices import Devices
from pipelines.variants import MODEL, Trained, draw_and_compare, sweep
from steps.fingerprint_checkpoint import fingerprint_checkpoint
from steps.fingerprint_dataset import fingerprint_dataset
from steps.import_checkpoint import import_checkpoint
from steps.ingest_coco import ingest_coco


@pipeline(name="recompress", model=Model(name=MODEL))
def recompress(config: RunConfig, devices: Devices, dataset_id: str, network_id: str, history_id: str) -> None:
    """(data, network, history) -> decompose -> (compress -> recover? -> evaluate) x N, time, draw -> compare."""
    dataset, baseline, history = (
        Client().get_artifact_version(UUID(id_)) for id_ in (dataset_id, network_id, history_id)
    )
    trained = [Trained(training, baseline, history) for training in trainings_of(config)]  # there is one
    swept = sweep(trained, dataset, devices)
    draw_and_compare(swept, trained, dataset, config, devices)


@pipeline(name="recompress", model=Model(name=MODEL))
def recompress_checkpoint(config: RunConfig, devices: Devices) -> None:
    """(checkpoint, data folder) -> decompose -> (compress -> recover? -> evaluate) x N, time, draw -> compare."""
    dataset = ingest_coco(fingerprint_dataset(config.data.format), config.data)
    baseline, history = import_checkpoint(fingerprint_checkpoint(), config.input, config.data, config.model)
    trained = [Trained(training, baseline, history) for training in trainings_of(config)]  # there is one
    swept = sweep(trained, dataset, devices)
    draw_and_compare(swept, trained, dataset, config, devices)
