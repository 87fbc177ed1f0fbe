"""What the tests of pipelines share: projects in which pipelines have run, or not."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.pipelines.workshop import Finished, Workshop


class Kept(NamedTuple):
    """A project that has run once, out of the way: `folder` is where it ran, and where copies of it go."""

    place: Path
    folder: Path
    first: Finished


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A project in which the tiny configuration has run once."""
    base = tmp_path_factory.mktemp("workshop")
    made = Workshop(base / "here")
    first = made.run()
    shutil.move(made.folder, base / "kept")
    return Kept(base / "kept", made.folder, first)


@pytest.fixture(scope="module")
def workshop(kept: Kept) -> Iterator[Workshop]:
    """A project in which the tiny configuration has run once, for the tests of one file."""
    made = Workshop.copied(kept.place, kept.folder)
    made.first = kept.first
    yield made
    shutil.rmtree(made.folder)


@pytest.fixture
def fresh(tmp_path: Path) -> Workshop:
    """A project in which nothing has run."""
    return Workshop(tmp_path)
