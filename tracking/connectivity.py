"""Checks in seconds that ZenML's and MLflow's servers answer, before hours of work whose results they are to record."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

import click
import yaml

from tracking.addresses import database_file, without_password
from tracking.errors import ServiceError, first_line

_SECONDS = 5
_SECONDS_TO_WAIT = 60  # for another process that makes the database, or records in it


def check_zenml() -> None:
    """Checks that ZenML's server answers, if this user's ZenML uses one; ZenML itself must not be imported yet.

    Raises:
        ServiceError: It does not.
    """
    if url := zenml_server():
        _check_answers("ZenML", url, "start it, or use ZenML without a server: zenml logout")


def zenml_server() -> str | None:
    """Returns the URL of the server that this user's ZenML uses; None where it keeps a database of its own."""
    url = os.environ.get("ZENML_STORE_URL") or _configured_store()
    return url if url.startswith("http") else None


def check_mlflow(uri: str, lock: Path) -> None:
    """Checks that MLflow can be asked for its experiments; a database that is a file is created if it is missing.

    Args:
        uri: MLflow's server or database.
        lock: Lock file that is held meanwhile, so that processes of this machine create the database one at a time.

    Raises:
        ServiceError: It does not answer, or MLflow cannot record in it.
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


def _check_answers(name: str, url: str, repair: str) -> None:
    """Raises ServiceError where no server answers; any answer will do, as permissions are not checked here."""
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
    """Returns the URL of ZenML's store from its own configuration; empty where there is none yet."""
    folder = os.environ.get("ZENML_CONFIG_PATH") or click.get_app_dir("zenml")
    try:
        content = yaml.safe_load(Path(folder, "config.yaml").read_text(encoding="utf-8"))
        return str(content["store"]["url"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return ""  # ZenML will say what is wrong with it
