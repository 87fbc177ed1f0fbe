"""Whether ZenML's and MLflow's servers answer: said in seconds, before hours of work whose results they shall take."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import click
import yaml

_SECONDS = 5
_SECONDS_TO_WAIT = 60  # for another process that makes the database, or records in it


class ServiceError(RuntimeError):
    """A server or a database that runs are recorded in cannot be used."""


def check_zenml() -> None:
    """Asks ZenML's server, if this user's ZenML uses one, whether it is there; ZenML itself must not be imported yet.

    Raises:
        ServiceError: It is not.
    """
    url = os.environ.get("ZENML_STORE_URL") or _configured_store()
    if url.startswith("http"):
        _check_answers("ZenML", url, "start it, or use ZenML without a server: zenml logout")


def check_mlflow(uri: str, lock: Path) -> None:
    """Asks MLflow for its experiments; where the database is a file, it is made if it is missing.

    Args:
        uri: MLflow's server or database.
        lock: File that other processes of this machine which make that database wait for.

    Raises:
        ServiceError: It does not answer, or is none that MLflow can record in.
    """
    if uri.startswith("http"):
        _check_answers("MLflow", uri, "start it, or set MLFLOW_TRACKING_URI to another")
    from filelock import FileLock  # noqa: PLC0415 - this module is read before anything slow is imported
    from mlflow import MlflowClient  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from tracking.database_setup import make_mlflow_database  # noqa: PLC0415

    try:
        with FileLock(lock, timeout=_SECONDS_TO_WAIT):
            database = database_file(uri)
            if database is not None and not database.exists():
                make_mlflow_database(database)
            MlflowClient(uri).search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise ServiceError(f"MLflow cannot record at {without_password(uri)}: {first_line(error)}") from error


def database_file(uri: str) -> Path | None:
    """Returns the file of an SQLite database; None for all others."""
    scheme, _, database = uri.partition(":///")
    return Path(database).absolute() if scheme == "sqlite" else None


def without_password(uri: str) -> str:
    """Returns a URI as it may be shown."""
    parts = urllib.parse.urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def _check_answers(name: str, url: str, repair: str) -> None:
    """Any answer will do: who may do what is not asked here."""
    shown = without_password(url)
    try:
        with urllib.request.urlopen(f"{shown.rstrip('/')}/health", timeout=_SECONDS):  # noqa: S310 - begins with http
            pass
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ServiceError(f"{name}'s server at {shown} does not answer ({reason}); {repair}") from error


def _configured_store() -> str:
    """Returns what ZenML's own configuration names; nothing where there is none yet."""
    folder = os.environ.get("ZENML_CONFIG_PATH") or click.get_app_dir("zenml")
    try:
        content = yaml.safe_load(Path(folder, "config.yaml").read_text(encoding="utf-8"))
        return str(content["store"]["url"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return ""  # ZenML will say what is wrong with it


def first_line(error: BaseException) -> str:
    """Returns what an error says in short: the first line of its message."""
    return str(error).strip().partition("\n")[0]
