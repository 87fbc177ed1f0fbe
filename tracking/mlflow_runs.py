"""MLflow brought up to date: one run a training, and below it one run a variant.

ZenML's cached steps log nothing, so that after a partly cached run records would be missing. Here all records are
made from the results themselves, at the end of every run: kept where they are equal, replaced where they are not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Experiment, Metric, Param, Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.mlflow_tags import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
)
from sqlalchemy.exc import SQLAlchemyError

from analysis.comparison import Comparison
from analysis.conclusions import answer, describe
from reporting.summary import run_metrics
from tracking.connectivity import ServiceError, database_file, first_line, without_password
from tracking.run_records import Recorded, TrainingRecord
from tracking.shared_view import view_link, view_state, view_tag

EXPERIMENT = "arsvd_comparison"
NETWORK_FOLDER = "network"
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the UI's view for trained models
_NOTE = (
    "**[The latest comparison]({link})**: {answer}\n\n"
    "Here is one run for each training, and below it one for each variant of its network. Variants of one training can "
    "be compared; those of other data cannot: filter by `tags.training` or `tags.data_digest`. "
    "`tags.pareto_front = 'yes'` are the best trade-offs."
)
_KEY = "content_key"  # tag: digest of all that a run records
_FRONT, _RECOMMENDED = "pareto_front", "recommended"  # tags: yes or no, of the variants of the latest comparison
_LATEST = "latest"  # tag of these
_TRAINING = "training"  # tag of all runs of one training
_DIGITS = 12  # of a digest that people see
_BATCH = 900  # MLflow takes at most 1,000 metrics a call
_SECONDS_TO_WAIT = 600


@dataclasses.dataclass(frozen=True)
class _RunRecord:
    """What one run holds when it is made."""

    name: str
    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, str]
    curves: Sequence[Metric]
    data: DatasetInput
    network: Path | None = None


def record(tracking_uri: str, training: TrainingRecord, comparison: Comparison, lock: Path) -> Recorded:
    """Makes the record of a training complete; runs that are right already are not touched.

    Args:
        tracking_uri: MLflow's server or database.
        training: The parent run.
        comparison: All variants, the baseline among them.
        lock: File that other processes of this machine which record here wait for.

    Raises:
        ServiceError: MLflow does not take them.
    """
    try:
        with FileLock(lock, timeout=_SECONDS_TO_WAIT):  # before the client, which makes a database where there is none
            return _Recorder(tracking_uri).record(training, comparison)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise ServiceError(
            f"the results are in {training.networks.parent}, but MLflow at {without_password(tracking_uri)} did not "
            f"take them ({first_line(error)}); run the same command again when it does"
        ) from error


def lock_of(tracking_uri: str, root: Path) -> Path:
    """Returns the lock of a database: beside it, where it is a file; in the repository for a server."""
    database = database_file(tracking_uri)
    return (database.parent if database else root) / ".mlflow.lock"


class _Recorder:
    """Writes runs to one MLflow server or database."""

    def __init__(self, tracking_uri: str) -> None:
        self._client = MlflowClient(tracking_uri)
        self._uri = tracking_uri

    def record(self, training: TrainingRecord, comparison: Comparison) -> Recorded:
        """Writes what is missing."""
        experiment = self._experiment()
        self._mark_abandoned(experiment)
        training = dataclasses.replace(training, tags={**training.tags, _TRAINING: training.key[:_DIGITS]})
        parent = self._parent(experiment, training)
        recorded = self._record_variants(experiment, parent, training, comparison)
        self._mark(self._children(experiment, parent), comparison)
        self._keep_files(parent, training.files)
        self._client.set_tag(parent, MLFLOW_RUN_NOTE, training.description)
        return Recorded(recorded, self._show(experiment, training.key[:_DIGITS], answer(comparison)))

    def _mark_abandoned(self, experiment: Experiment) -> None:
        """Marks runs as failed whose process ended while it wrote them; nobody else writes while the lock is ours.

        That of a server holds for this machine alone; there, runs count that are older than any wait for it.
        """
        newest = _now_ms() - (0 if database_file(self._uri) else 1000 * _SECONDS_TO_WAIT)
        for run in self._find(experiment, "attributes.status = 'RUNNING'"):
            if run.info.start_time <= newest:
                self._client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.FAILED))

    def _show(self, experiment: Experiment, training: str, found: str) -> str:
        """Makes a view of this comparison's variants, names it in the experiment's description, returns its place."""
        link = view_link(experiment.experiment_id, training)
        state = view_state(f"tags.{_TRAINING} = '{training}' and tags.{_LATEST} = 'yes'")
        for tag, value in ((view_tag(training), state), (MLFLOW_RUN_NOTE, _NOTE.format(link=link, answer=found))):
            if experiment.tags.get(tag) != value:
                self._client.set_experiment_tag(experiment.experiment_id, tag, value)
        return link

    def _record_variants(
        self, experiment: Experiment, parent: str, training: TrainingRecord, comparison: Comparison
    ) -> dict[str, str]:
        existing, recorded = self._children(experiment, parent), {}
        for result in reversed(comparison.results):  # MLflow's table has the newest first
            metrics, tuning = run_metrics(result, comparison), result.finetune_history
            params = {**training.params, "method": result.method, **result.spec.parameters()}
            key = _digest([training.key, result.name, params, metrics, tuning])
            same_name = [run for run in existing if run.info.run_name == result.name]
            right = [run.info.run_id for run in same_name if run.data.tags.get(_KEY) == key and _finished(run)]
            for run in same_name:
                if run.info.run_id not in right[:1]:
                    self._client.delete_run(run.info.run_id)
            tags = {**training.tags, _KEY: key, MLFLOW_PARENT_RUN_ID: parent, "method": result.method}
            tags["recovery"] = result.spec.recovery
            made = _RunRecord(
                name=result.name,
                params=params,
                metrics=metrics,
                tags={**tags, MLFLOW_RUN_NOTE: describe(comparison, result)},
                curves=_curves(tuning, "finetune/"),
                data=training.data.used_for("evaluation"),
                network=training.networks / result.name,
            )
            recorded[result.name] = right[0] if right else self._create(experiment, made)
        return recorded

    def _mark(self, children: Sequence[Run], comparison: Comparison) -> None:
        """Tags the variants of this comparison and its best trade-offs; what an earlier one found of others goes."""
        chosen = comparison.recommended.name if comparison.recommended else None
        compared = {result.name for result in comparison.results}
        for run in children:
            name, marks = run.info.run_name, {}
            if name in compared:
                marks = {
                    _LATEST: "yes",
                    _FRONT: "yes" if name in comparison.front else "no",
                    _RECOMMENDED: "yes" if name == chosen else "no",
                }
            for tag in (_LATEST, _FRONT, _RECOMMENDED):
                if tag in marks and run.data.tags.get(tag) != marks[tag]:
                    self._client.set_tag(run.info.run_id, tag, marks[tag])
                elif tag not in marks and tag in run.data.tags:
                    self._client.delete_tag(run.info.run_id, tag)

    def _keep_files(self, parent: str, files: Sequence[tuple[Path, str | None]]) -> None:
        """Puts the files with a run; pictures that an earlier comparison had and this one has not are removed."""
        for file, folder in files:
            self._client.log_artifact(parent, str(file), folder)
        kept = {f"{folder}/{file.name}" for file, folder in files}
        stored = get_artifact_repository(self._client.get_run(parent).info.artifact_uri)
        for folder in {folder for _, folder in files if folder is not None}:
            for found in stored.list_artifacts(folder):
                if found.path not in kept:
                    stored.delete_artifacts(found.path)

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
        made = _RunRecord(
            name=training.name,
            params=training.params,
            metrics={},
            tags={**training.tags, "training_key": training.key},
            curves=_curves(training.history),
            data=training.data.used_for("training"),
        )
        return self._create(experiment, made)

    def _create(self, experiment: Experiment, made: _RunRecord) -> str:
        """Creates a run; it counts as recorded only when it is marked as finished, last."""
        tags = {**made.tags, MLFLOW_RUN_NAME: made.name, MLFLOW_SOURCE_NAME: "run_pipeline.py"}
        run_id = self._client.create_run(experiment.experiment_id, tags=tags, run_name=made.name).info.run_id
        now = _now_ms()
        points = [*made.curves, *(Metric(key, value, now, 0) for key, value in made.metrics.items())]
        self._client.log_batch(run_id, params=[Param(key, str(value)) for key, value in made.params.items()])
        for first in range(0, len(points), _BATCH):
            self._client.log_batch(run_id, metrics=points[first : first + _BATCH])
        self._client.log_inputs(run_id, [made.data])
        if made.network is not None:
            self._client.log_artifacts(run_id, str(made.network), NETWORK_FOLDER)
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


def _curves(history: Mapping[str, Any], prefix: str = "") -> list[Metric]:
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
    database = database_file(uri)
    return (database.parent / "mlruns" / EXPERIMENT).as_uri() if database else None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
