"""Creates the databases of ZenML and MLflow, so that a process killed meanwhile leaves none half-made."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient

from torch_lowrank.whole_files import write_whole

_ZENML_DATABASE = Path("local_stores", "default_zen_store", "zenml.db")  # in ZenML's folder, where it has no server
_UNFINISHED = "arsvd-setup.unfinished"


def make_mlflow_database(file: Path) -> None:
    """Creates MLflow's database elsewhere, and writes it to its place as a whole."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, file.name)
        MlflowClient(f"sqlite:///{database}").search_experiments(max_results=1)
        write_whole(file, database.read_bytes())


@contextlib.contextmanager
def zenml_database(folder: Path) -> Iterator[None]:
    """Lets ZenML create its database in the block, one process at a time; one that is half-made is removed before.

    Args:
        folder: ZenML's own folder.
    """
    database, unfinished = folder / _ZENML_DATABASE, folder / _UNFINISHED
    if unfinished.exists() and database.exists() and not _has_version(database):
        database.unlink()
    if not database.exists():
        unfinished.touch()
    yield
    unfinished.unlink(missing_ok=True)


def _has_version(database: Path) -> bool:
    """Returns whether all tables exist: ZenML writes its schema's version last. Before that there can be no run."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        try:
            return bool(connection.execute("SELECT version_num FROM alembic_version").fetchall())
        except sqlite3.DatabaseError:
            return False
