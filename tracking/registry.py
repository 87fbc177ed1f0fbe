"""MLflow's model registry: the chosen network, under a name by which others load it."""

from __future__ import annotations

import json

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from tracking.default_server import default_server
from tracking.served_models import DATA_DIGEST, VARIANT, WEIGHTS_BYTES

ALIAS = "champion"
_SHOWN = ("dice", "dice_lesion")  # metrics that a version's tags repeat


class RegistrationError(RuntimeError):
    """The network cannot be registered; everything else is recorded."""


def register(tracking_uri: str, name: str, variant: str, run_id: str, description: str) -> str:
    """Makes a variant's network the champion of a registered model, and returns the version.

    A network whose run is registered already gets no second version.

    Args:
        tracking_uri: MLflow's server or database.
        name: Name of the registered model, which is created if it is missing.
        variant: Name of the variant, for the tag of the version.
        run_id: The variant's run, whose model becomes the version.
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
            with default_server(tracking_uri):  # which a registry that is a database asks where a model lies
                version = _new_version(client, name, variant, run_id, description)
        client.set_registered_model_alias(name, ALIAS, str(version))
    except MlflowException as error:
        raise RegistrationError(f"{variant} cannot be registered as {name!r}: {error.message}") from error
    return str(version)


def _new_version(client: MlflowClient, name: str, variant: str, run_id: str, description: str) -> str:
    """Makes a version of a run's model; its tags say how good and large it is, and on which data that was judged."""
    run = client.get_run(run_id)
    outputs = run.outputs.model_outputs if run.outputs else []
    if not outputs:
        raise RegistrationError(f"{variant} cannot be registered: its run {run_id} has no model; run the command again")
    model = client.get_logged_model(outputs[0].model_id)
    tags = {VARIANT: variant, WEIGHTS_BYTES: model.tags[WEIGHTS_BYTES], DATA_DIGEST: run.data.tags[DATA_DIGEST]}
    tags |= {metric: f"{run.data.metrics[metric]:.6g}" for metric in _SHOWN if metric in run.data.metrics}
    made = client.create_model_version(
        name, f"models:/{model.model_id}", run_id, tags=tags, description=description, model_id=model.model_id
    )
    versions = json.loads(model.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    versions.append({"name": name, "version": made.version})  # MLflow's page of the model shows what this tag says
    client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(versions)})
    return str(made.version)
