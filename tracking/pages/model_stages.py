"""The stage of a run's ZenML model version: what is registered in MLflow is in production in ZenML, too."""

from __future__ import annotations

from zenml import log_metadata
from zenml.client import Client
from zenml.enums import ModelStages
from zenml.metadata.metadata_types import MetadataType
from zenml.models import ModelVersionResponse

STAGE = ModelStages.PRODUCTION


def promote(version: ModelVersionResponse, variant: str, registered: str) -> None:
    """Moves the stage `production` to a model version; the one that had it is archived.

    Args:
        version: The version, of the run that registers a network.
        variant: Name of the registered variant.
        registered: Its address in MLflow, for example `models:/tumor-unet/2`.
    """
    version.set_stage(STAGE, force=True)
    metadata: dict[str, MetadataType] = {"registered": {"variant": variant, "mlflow": registered}}
    log_metadata(metadata=metadata, model_name=version.model.name, model_version=str(version.number))
    Client().update_model_version(version.model.id, version.id, add_tags=[variant])
