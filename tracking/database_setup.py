"""ZenML and MLflow make a database each when first used; a process killed meanwhile leaves no half of one."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient

_ZENML_DATABASE = Path("local_stores", "default_zen_store", "zenml.db")  # in ZenML's folder, where it has no server
_UNFINISHED = "arsvd-setup.unfinished"


def make_mlflow_database(file: Path) -> None:
    """Makes MLflow's database beside its place, and moves it there."""
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    MlflowClient(f"sqlite:///{unfinished}").search_experiments(max_results=1)
    unfinished.replace(file)


@contextlib.contextmanager
def zenml_database(folder: Path) -> Iterator[None]:
    """Lets ZenML make its database, for one process at a time; what a killed one left half-made is removed before.

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
    """Whether all tables were made: ZenML writes the version of its schema last. Before that it can hold no run."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        try:
            return bool(connection.execute("SELECT version_num FROM alembic_version").fetchall())
        except sqlite3.DatabaseError:
            return False
