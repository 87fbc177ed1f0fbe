"""MLflow's model registry: the chosen network, under a name by which others load it."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tracking.mlflow_store import NETWORK_FOLDER

ALIAS = "champion"


class RegistrationError(RuntimeError):
    """The network cannot be registered; everything else is recorded."""


def register(tracking_uri: str, name: str, variant: str, run_id: str, description: str) -> str:
    """Makes a variant's network the champion of a registered model, and returns the version.

    A network whose run is registered already gets no second version.

    Args:
        tracking_uri: MLflow's server or database.
        name: Name of the registered model, which is created if it is missing.
        variant: Name of the variant, for the tag of the version.
        run_id: The variant's run, which holds the network.
        description: Description of the version.

    Returns:
        The version.

    Raises:
        RegistrationError: MLflow refused, for example because it does not allow the name.
    """
    client = MlflowClient(tracking_uri)
    try:
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name, description="U-Nets for segmentation, compressed; see each version.")
        versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
        if versions:
            version = versions[0].version
        else:
            source = f"{client.get_run(run_id).info.artifact_uri}/{NETWORK_FOLDER}"
            tags = {"variant": variant}
            version = client.create_model_version(name, source, run_id, tags=tags, description=description).version
        client.set_registered_model_alias(name, ALIAS, str(version))
    except MlflowException as error:
        raise RegistrationError(f"{variant} cannot be registered as {name!r}: {error.message}") from error
    return str(version)
