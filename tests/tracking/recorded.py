"""Small records, and what MLflow then holds."""

import dataclasses
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run

from analysis.comparison import Comparison
from tests.comparisons import make_result
from tracking import mlflow_runs as runs
from tracking.mlflow_store import EXPERIMENT
from tracking.run_records import Data, Recorded, Serving, TrainingRecord

HISTORY = {"epochs": [{"epoch": 0, "valid_dice": 0.5, "lr": 0.1}, {"epoch": 1, "valid_dice": 0.6, "lr": 0.05}]}
RESULTS = [make_result("baseline", None, 0.8, 1000), make_result("svd", 8, 0.7, 300)]
DATA = Data(
    "phantoms: 30 images 32x32 gray",
    "d",
    {"images": {"train": 20, "valid": 5, "test": 5}},
    "s3://somebody:secret@bucket/phantoms",
    (32, 32, 1),
)
SERVING = Serving("opener", {"opener.py": b"def _load_pyfunc(folder): ..."}, ("torch==2.6",), {}, 1, 1, (4, 4))


def training(key: str = "one", **changes) -> TrainingRecord:
    fields = {
        "key": key,
        "name": "training",
        "description": "**The answer.**",
        "params": {"training.epochs": 2},
        "tags": {"data_digest": "d"},
        "history": HISTORY,
        "data": DATA,
        "serving": SERVING,
        "files": [],
    }
    return TrainingRecord(**fields | {"networks": Path()} | changes)


def record(uri: str, results: list, record_of: TrainingRecord, tmp_path: Path) -> dict[str, str]:
    return everything(uri, results, record_of, tmp_path).runs


def everything(uri: str, results: list, record_of: TrainingRecord, tmp_path: Path) -> Recorded:
    for result in results:
        (tmp_path / "networks" / result.name).mkdir(parents=True, exist_ok=True)
        described = tmp_path / "networks" / result.name / "network.json"
        described.write_text(described.read_text() if described.exists() else "{}")
    placed = dataclasses.replace(record_of, networks=tmp_path / "networks")
    return runs.record(uri, [placed], Comparison(results), tmp_path / "lock")


def parent_of(uri: str) -> Run:
    return next(run for run in active(uri) if run.info.run_name == "training")


def active(uri: str) -> list[Run]:
    client = MlflowClient(uri)
    return client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])


def names(uri: str) -> list[str]:
    return sorted(run.info.run_name for run in active(uri))


def models(uri: str) -> list[LoggedModel]:
    client = MlflowClient(uri)
    return client.search_logged_models([client.get_experiment_by_name(EXPERIMENT).experiment_id])


def model_of(uri: str, run_id: str) -> LoggedModel:
    (model,) = [model for model in models(uri) if model.source_run_id == run_id]
    return model
