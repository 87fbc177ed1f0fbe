"""A network's folder by the URI of a model or a run in MLflow."""

from __future__ import annotations

from pathlib import Path

from torch_lowrank.io import DESCRIPTION
from tracking.addresses import without_password
from tracking.default_server import VARIABLE, default_server
from tracking.errors import first_line


class ModelFilesError(ValueError):
    """MLflow has no such model, or no network of this project in it."""


def network_of_model(uri: str, tracking_uri: str, folder: Path) -> Path:
    """Copies the files of a model, and finds the network's folder among them.

    Args:
        uri: `models:/name@alias`, `models:/name/version`, `models:/id`, or `runs:/run/place`.
        tracking_uri: MLflow's server or database.
        folder: Where to copy them.

    Returns:
        The folder that holds `network.json`: the model's own, or the only one below it.

    Raises:
        ModelFilesError: There is no such model, its files cannot be had, or it is no network of this project.
    """
    import mlflow.artifacts  # noqa: PLC0415 - seconds, where a model is asked for alone
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        with default_server(tracking_uri):  # names of models are looked up there, whatever an argument says
            place = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    except (MlflowException, OSError, ValueError) as error:
        raise ModelFilesError(
            f"MLflow at {without_password(tracking_uri)} does not give {uri} ({first_line(error)}): check the name, "
            f"the alias or version, and {VARIABLE}"
        ) from error
    found = sorted(file.parent for file in place.glob(f"**/{DESCRIPTION}"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelFilesError(f"{uri} is no network of this project: there is no {DESCRIPTION} in it")
    names = ", ".join(each.relative_to(place).as_posix() for each in found)
    raise ModelFilesError(f"{uri} holds several networks ({names}): name the place of one, as runs:/RUN/PLACE")
