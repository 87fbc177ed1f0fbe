"""One MLflow server or database: the project's experiment, and its runs one by one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Experiment, Metric, Param, Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_SOURCE_NAME

from tracking.addresses import database_file
from tracking.run_records import Serving
from tracking.served_models import ModelLog

EXPERIMENT = "arsvd_comparison"
SECONDS_TO_WAIT = 600  # for the lock of a database
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the UI's view for trained models
_BATCH = 900  # MLflow takes at most 1,000 metrics a call


@dataclasses.dataclass(frozen=True)
class NewRun:
    """The content of a run that is to be created.

    Attributes:
        name: As MLflow's table shows it.
        params: Parameters; values are stored as text.
        metrics: Metrics that have one value.
        tags: Tags, those of MLflow among them.
        curves: Metrics that have a value for each epoch.
        data: The data set that was used.
        network: Folder of a network that becomes the run's model, and how it is opened.
    """

    name: str
    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, str]
    curves: Sequence[Metric]
    data: DatasetInput
    network: tuple[Path, Serving] | None = None


class RunStore:
    """Reads and writes runs.

    Attributes:
        client: MLflow's own client of the same server or database.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.client = MlflowClient(tracking_uri)
        self._uri = tracking_uri

    def experiment(self) -> Experiment:
        """Returns the project's experiment; it is created where it is missing, and restored where it was deleted."""
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return self._new_experiment()
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        return experiment

    def runs(self, experiment: Experiment, condition: str) -> list[Run]:
        """Returns all runs that meet a condition, written as in MLflow's search box."""
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs([experiment.experiment_id], condition, page_token=token)
            found.extend(page)
            if not page.token:
                return found
            token = page.token

    def children(self, experiment: Experiment, parent: str) -> list[Run]:
        """Returns the runs below a run."""
        return self.runs(experiment, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'")

    def create(self, experiment: Experiment, made: NewRun) -> str:
        """Creates a run and returns its id; it is marked as finished last, and counts as recorded only then."""
        tags = {**made.tags, MLFLOW_RUN_NAME: made.name, MLFLOW_SOURCE_NAME: "run_pipeline.py"}
        run_id = self.client.create_run(experiment.experiment_id, tags=tags, run_name=made.name).info.run_id
        models, model = self.models(experiment), None
        if made.network is not None:
            model = models.start(run_id, made.name, made.network[0], made.params, made.tags)
        points = [*made.curves, *_points(made.metrics, model, made.data.dataset)]
        self.client.log_batch(run_id, params=[Param(key, str(value)) for key, value in made.params.items()])
        for first in range(0, len(points), _BATCH):
            self.client.log_batch(run_id, metrics=points[first : first + _BATCH])
        self.client.log_inputs(run_id, [made.data])
        if made.network is not None and model is not None:
            models.finish(run_id, model, *made.network)
        self.client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))
        return run_id

    def models(self, experiment: Experiment) -> ModelLog:
        """Returns the log of the experiment's MLflow models."""
        return ModelLog(self.client, experiment.experiment_id)

    def renew(self, run: Run, model: str, wanted: NewRun, tags: Sequence[str]) -> None:
        """Gives a run and its model the metrics that are wanted, and the run these tags, where they differ."""
        changed = {key: value for key, value in wanted.metrics.items() if run.data.metrics.get(key) != value}
        if changed:
            self.client.log_batch(run.info.run_id, metrics=_points(changed, model, wanted.data.dataset))
        for tag in tags:
            if run.data.tags.get(tag) != wanted.tags[tag]:
                self.client.set_tag(run.info.run_id, tag, wanted.tags[tag])

    def keep_files(self, run_id: str, files: Sequence[tuple[Path, str | None]]) -> None:
        """Stores files with a run, and removes what else is in their sub-folders: pictures of earlier comparisons.

        What lies at the top by the name of a file or folder that belongs into a sub-folder is removed, too: it is of a
        version that put it there.

        Args:
            run_id: The run.
            files: Files, and the sub-folder to put each into (None is the top).
        """
        for file, folder in files:
            self.client.log_artifact(run_id, str(file), folder)
        kept = {str(PurePosixPath(folder or "", file.name)) for file, folder in files}
        stored = get_artifact_repository(self.client.get_run(run_id).info.artifact_uri, tracking_uri=self._uri)
        folders = {PurePosixPath(folder) for _, folder in files if folder is not None}
        for each in folders:
            for found in stored.list_artifacts(str(each)):
                if found.path not in kept and not found.is_dir:
                    stored.delete_artifacts(found.path)
        below = {each.name for each in folders if len(each.parts) > 1}
        moved = {file.name for file, folder in files if folder is not None} | below
        for found in stored.list_artifacts():
            if found.path in moved and found.path not in kept and PurePosixPath(found.path) not in folders:
                stored.delete_artifacts(found.path)

    def mark_abandoned(self, experiment: Experiment) -> None:
        """Marks runs as failed whose process ended while it wrote them. The caller holds the lock: nobody else writes.

        The lock of a server holds for this machine alone; runs of other machines are taken for abandoned when they are
        older than any process waits for the lock.
        """
        newest = now_ms() - (0 if database_file(self._uri) else 1000 * SECONDS_TO_WAIT)
        for run in self.runs(experiment, "attributes.status = 'RUNNING'"):
            if run.info.start_time <= newest:
                self.client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.FAILED))

    def _new_experiment(self) -> Experiment:
        try:
            id_ = self.client.create_experiment(EXPERIMENT, _artifacts_beside(self._uri), _EXPERIMENT_TAGS)
        except MlflowException as error:
            existing = self.client.get_experiment_by_name(EXPERIMENT)  # of a process on another machine
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or existing is None:
                raise
            return existing
        return self.client.get_experiment(id_)


def is_finished(run: Run) -> bool:
    """Returns whether a run was written to its end."""
    return run.info.status == RunStatus.to_string(RunStatus.FINISHED)


def curves(history: Mapping[str, Any], prefix: str = "") -> list[Metric]:
    """Returns a training's history as metrics, one point for each epoch and value.

    Args:
        history: As `History.to_dict` returns it.
        prefix: Put before each name, to keep the curves apart from a run's other metrics.
    """
    now = now_ms()
    return [
        Metric(prefix + key, float(value), now, record["epoch"])
        for record in history.get("epochs", [])
        for key, value in record.items()
        if key != "epoch" and value is not None
    ]


def system_points(load: Mapping[str, Sequence[float]]) -> list[Metric]:
    """Returns what a training took of its machine, as MLflow's page "System metrics" shows it.

    Args:
        load: As `MachineLoad.columns` returns it; `time_ms` among them.
    """
    return [
        Metric(f"system/{name}", float(value), int(time_ms), step)
        for name, values in load.items()
        if name != "time_ms"
        for step, (time_ms, value) in enumerate(zip(load["time_ms"], values, strict=True))
    ]


def _points(values: Mapping[str, float], model: str | None, data: Dataset) -> list[Metric]:
    """Returns metrics of one value, which belong to a model and to the data that it was judged on."""
    now = now_ms()
    about = {"model_id": model, "dataset_name": data.name, "dataset_digest": data.digest} if model is not None else {}
    return [Metric(key, value, now, 0, **about) for key, value in values.items()]


def _artifacts_beside(uri: str) -> str | None:
    """Returns `mlruns` next to an SQLite database, as MLflow has it by default; a server decides for itself."""
    database = database_file(uri)
    return (database.parent / "mlruns" / EXPERIMENT).as_uri() if database else None


def now_ms() -> int:
    """Returns the time as MLflow counts it, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
