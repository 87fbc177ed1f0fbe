"""The synthetic comparisons and empty MLflow databases, as fixtures."""

import shutil
from pathlib import Path

import pytest

from tests.comparisons import baseline, history, recovered_results, result, results
from tracking.database_setup import make_mlflow_database

__all__ = ["baseline", "history", "recovered_results", "result", "results"]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes seconds to make one."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    make_mlflow_database(file)
    return file


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_database, tmp_path / 'mlflow.db')}"
