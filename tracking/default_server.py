"""The server that MLflow asks where nobody names one: `models:/` names and a registry's files are looked up there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

VARIABLE = "MLFLOW_TRACKING_URI"


@contextlib.contextmanager
def default_server(tracking_uri: str) -> Iterator[None]:
    """Makes a server or database the process's default for a while; what was said before holds again afterwards.

    Args:
        tracking_uri: MLflow's server or database.
    """
    import mlflow  # noqa: PLC0415 - seconds, where a model is asked for alone

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    variable = os.environ.get(VARIABLE)
    mlflow.set_tracking_uri(tracking_uri)  # sets the variable, too
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None is what it was before anybody said it
        os.environ.pop(VARIABLE, None)
        if variable is not None:
            os.environ[VARIABLE] = variable
