"""MLflow's default server, for a while."""

import os
from collections.abc import Iterator

import mlflow
import pytest

from tracking.default_server import VARIABLE, default_server

MINE, OTHER, MEANWHILE = "sqlite:///mine.db", "sqlite:///other.db", "sqlite:///meanwhile.db"


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody has said a server; afterwards nobody has, either."""
    monkeypatch.setenv(VARIABLE, "")  # so that it is restored, whatever happens to it
    mlflow.set_tracking_uri(None)
    os.environ.pop(VARIABLE, None)
    yield
    mlflow.set_tracking_uri(None)


def state() -> tuple[str, bool, str | None]:
    return mlflow.get_tracking_uri(), mlflow.is_tracking_uri_set(), os.environ.get(VARIABLE)


@pytest.mark.parametrize("said", [None, MINE])
@pytest.mark.parametrize("variable", [None, MINE, OTHER])
def test_what_was_said_before_holds_again_also_after_an_error(said: str | None, variable: str | None) -> None:
    mlflow.set_tracking_uri(said)
    os.environ.pop(VARIABLE, None)
    if variable is not None:
        os.environ[VARIABLE] = variable
    before = state()
    with default_server(MEANWHILE):
        assert state() == (MEANWHILE, True, MEANWHILE)
    assert state() == before
    with pytest.raises(KeyError), default_server(MEANWHILE):
        raise KeyError
    assert state() == before
