"""What is tried for an hour starts as a user starts it: no process is a fork of one that has the libraries already."""

import pytest

from tests.pipelines.workshop import Workshop


@pytest.fixture(scope="session", autouse=True)
def cold() -> None:
    """Every command has a Python of its own."""
    Workshop.cold = True
