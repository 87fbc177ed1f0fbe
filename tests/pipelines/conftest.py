"""What the tests of pipelines share: projects in which pipelines have run, or not."""

from pathlib import Path

import pytest

from tests.pipelines.workshop import Workshop


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A project in which the tiny configuration has run once."""
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    made.first = made.run()
    return made


@pytest.fixture
def fresh(tmp_path: Path) -> Workshop:
    """A project in which nothing has run."""
    return Workshop(tmp_path)
