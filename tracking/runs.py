"""MLflow brought up to date: one run a training, and below it one run a variant.

ZenML's cached steps log nothing, so that after a partly cached run records would be missing. Here all records are
made from the results themselves, at the end of every run: kept where they are equal, replaced where they are not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_SOURCE_NAME

from models.results import EvaluationResult
from tracking.summary import run_metrics
from tracking.tradeoffs import METHODS

EXPERIMENT = "arsvd_comparison"
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the UI's view for trained models
_KEY = "content_key"  # tag: digest of all that a run records
_BATCH = 900  # MLflow takes at most 1,000 metrics a call
_SECONDS_TO_WAIT = 600


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """What the parent run says.

    Attributes:
        key: Digest of the trained network and its data; runs of the same training share it.
        params: The training's configuration, flat.
        tags: What to filter by.
        history: The training's curves, as `History.to_dict`.
        files: Files to keep with the run, and the folder to put each into (None is the top).
    """

    key: str
    params: dict[str, Any]
    tags: dict[str, str]
    history: dict[str, Any]
    files: list[tuple[Path, str | None]]


def record(tracking_uri: str, training: TrainingRecord, results: Sequence[EvaluationResult], lock: Path) -> str:
    """Makes the record of a training complete; runs that are right already are not touched.

    Args:
        tracking_uri: MLflow's server or database.
        training: The parent run.
        results: All variants, the baseline among them.
        lock: File that other processes of this machine which record here wait for.

    Returns:
        Id of the parent run.
    """
    with FileLock(lock, timeout=_SECONDS_TO_WAIT):  # before the client, which makes a database where there is none
        return _Recorder(tracking_uri).record(training, results)


class _Recorder:
    """Writes runs to one MLflow server or database."""

    def __init__(self, tracking_uri: str) -> None:
        self._client = MlflowClient(tracking_uri)
        self._uri = tracking_uri

    def record(self, training: TrainingRecord, results: Sequence[EvaluationResult]) -> str:
        """Writes what is missing; returns the id of the parent run."""
        experiment = self._experiment()
        parent = self._parent(experiment, training)
        self._record_variants(experiment, parent, training, results)
        for file, folder in training.files:
            self._client.log_artifact(parent, str(file), folder)
        return parent

    def _record_variants(
        self, experiment: Experiment, parent: str, training: TrainingRecord, results: Sequence[EvaluationResult]
    ) -> None:
        baseline = next(result for result in results if result.method == METHODS[0])
        existing = self._children(experiment, parent)
        for result in results:
            metrics, tuning = run_metrics(result, baseline), result.finetune_history
            params = {**training.params, "method": result.method, **result.setting}
            key = _digest([training.key, result.name, params, metrics, tuning])
            same_name = [run for run in existing if run.info.run_name == result.name]
            right = [run for run in same_name if run.data.tags.get(_KEY) == key and _finished(run)]
            for run in same_name:
                if run not in right[:1]:
                    self._client.delete_run(run.info.run_id)
            if not right:
                tags = {**training.tags, _KEY: key, MLFLOW_PARENT_RUN_ID: parent, "method": result.method}
                self._create(experiment, result.name, params, metrics, tags, _curves(tuning, "finetune_"))

    def _parent(self, experiment: Experiment, training: TrainingRecord) -> str:
        runs = self._find(experiment, f"tags.training_key = '{training.key}'")
        finished = [run for run in runs if _finished(run)]
        for run in runs:
            if run not in finished[:1]:  # left half-written by a process that was killed
                for orphan in self._children(experiment, run.info.run_id):
                    self._client.delete_run(orphan.info.run_id)
                self._client.delete_run(run.info.run_id)
        if finished:
            return finished[0].info.run_id
        tags = {**training.tags, "training_key": training.key}
        name = "training" if training.history["epochs"] else "checkpoint"
        return self._create(experiment, name, training.params, {}, tags, _curves(training.history))

    def _create(
        self,
        experiment: Experiment,
        name: str,
        params: dict[str, Any],
        metrics: dict[str, float],
        tags: dict[str, str],
        curves: Sequence[Metric] = (),
    ) -> str:
        """Creates a run; it counts as recorded only when it is marked as finished, last."""
        tags = {**tags, MLFLOW_RUN_NAME: name, MLFLOW_SOURCE_NAME: "run_pipeline.py"}
        run_id = self._client.create_run(experiment.experiment_id, tags=tags, run_name=name).info.run_id
        now = _now_ms()
        points = [*curves, *(Metric(key, value, now, 0) for key, value in metrics.items())]
        self._client.log_batch(run_id, params=[Param(key, str(value)) for key, value in params.items()])
        for first in range(0, len(points), _BATCH):
            self._client.log_batch(run_id, metrics=points[first : first + _BATCH])
        self._client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))
        return run_id

    def _children(self, experiment: Experiment, parent: str) -> list[Run]:
        return self._find(experiment, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'")

    def _find(self, experiment: Experiment, condition: str) -> list[Run]:
        found, token = [], None
        while True:
            page = self._client.search_runs([experiment.experiment_id], condition, page_token=token)
            found.extend(page)
            if not page.token:
                return found
            token = page.token

    def _experiment(self) -> Experiment:
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            try:
                self._client.create_experiment(EXPERIMENT, _artifacts_beside(self._uri), _EXPERIMENT_TAGS)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            experiment = self._client.get_experiment_by_name(EXPERIMENT)
        elif experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        return experiment


def _finished(run: Run) -> bool:
    return run.info.status == RunStatus.to_string(RunStatus.FINISHED)


def _curves(history: dict[str, Any], prefix: str = "") -> list[Metric]:
    """Returns one point an epoch and value; the prefix keeps curves apart from a run's other metrics."""
    now = _now_ms()
    return [
        Metric(prefix + key, float(value), now, record["epoch"])
        for record in history.get("epochs", [])
        for key, value in record.items()
        if key != "epoch" and value is not None
    ]


def _artifacts_beside(uri: str) -> str | None:
    """Returns `mlruns` next to an SQLite database, as MLflow has it by default; a server decides for itself."""
    scheme, _, database = uri.partition(":///")
    return (Path(database).absolute().parent / "mlruns" / EXPERIMENT).as_uri() if scheme == "sqlite" else None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
