"""MLflow's model registry: the chosen network under a name that others load it by."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tracking.mlflow_runs import NETWORK_FOLDER

ALIAS = "champion"


class RegistrationError(RuntimeError):
    """The network cannot be registered; everything else is recorded."""


def register(tracking_uri: str, name: str, variant: str, run_id: str, description: str) -> str:
    """Makes a variant's network the champion of a registered model.

    A network that is registered already, because its run is the same, gets no second version.

    Args:
        tracking_uri: MLflow's server or database.
        name: Of the registered model; it is made where it is missing.
        variant: Which network, for its tag.
        run_id: The variant's run, which holds the network.
        description: Of the version.

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
