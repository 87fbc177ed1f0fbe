"""Brings MLflow up to date: one run for each training, and below it one run for each of its variants.

ZenML's cached steps log nothing, so records would be missing after a partly cached run. Here all records are made from
the results at the end of every run: a run that MLflow has with the same content is kept, any other is replaced.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow.entities import Dataset, DatasetInput, Experiment, LoggedModel, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE
from sqlalchemy.exc import SQLAlchemyError

from analysis.comparison import Comparison
from analysis.conclusions import answer, describe
from models.evaluation.results import EvaluationResult
from reporting.summary import TIMES, run_metrics
from tracking.addresses import without_password
from tracking.errors import ServiceError, first_line
from tracking.mlflow_store import SECONDS_TO_WAIT, NewRun, RunStore, curves, is_finished, now_ms, system_points
from tracking.pages.run_figures import run_figures
from tracking.run_records import REPORT, Recorded, TrainingRecord, used_for
from tracking.served_models import TRAINING, ModelLog, is_complete, network_digest
from tracking.shared_view import charts_link, named_view, view_link, view_state, view_tag, without_names

_NOTE = (
    "**[The latest comparison]({link})** ([charts]({charts}), [report]({report})): {answer}\n\n"
    "Here is one run for each training, and below it one for each variant of its network. Variants of one comparison "
    "can be compared, those of other data cannot: filter by `tags.comparison`, `tags.training` or `tags.data_digest`. "
    "`tags.pareto_front = 'yes'` are the best trade-offs."
)
_KEY = "content_key"  # tag: digest of all that a run records
_FRONT, _RECOMMENDED = "pareto_front", "recommended"  # tags: yes or no, of the variants of the latest comparison
_TIMED_ON = "timed_on"  # tag: the machine that times are of
_LATEST = "latest"  # tag of these
_COMPARISON = "comparison"  # tag of these: the training whose dense network they are compared with
_RUN_TYPE = "mlflow.runType"  # runs that have `evaluation` in it are unfolded where an experiment is opened first
_TIMES = run_figures(dict.fromkeys(TIMES, 0.0)).keys()  # as MLflow names them
_DIGITS = 12  # of a digest that people see


def record(tracking_uri: str, trainings: Sequence[TrainingRecord], comparison: Comparison, lock: Path) -> Recorded:
    """Completes the record of a comparison; runs that are right already are not touched.

    Args:
        tracking_uri: MLflow's server or database.
        trainings: The content of each parent run, that of the main training first.
        comparison: All variants, the baseline among them.
        lock: Lock file that is held meanwhile, so that processes of this machine record one at a time.

    Raises:
        ServiceError: MLflow does not accept the records.
    """
    try:
        with FileLock(lock, timeout=SECONDS_TO_WAIT):  # before the client, which makes a database where there is none
            return _Recorder(tracking_uri).record(trainings, comparison)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise ServiceError(
            f"the results are in {trainings[0].networks.parent}, but MLflow at {without_password(tracking_uri)} did "
            f"not take them ({first_line(error)}); run the same command again when it does"
        ) from error


class _Recorder:
    """Writes runs to one MLflow server or database."""

    def __init__(self, tracking_uri: str) -> None:
        self._store = RunStore(tracking_uri)
        self._client = self._store.client

    def record(self, trainings: Sequence[TrainingRecord], comparison: Comparison) -> Recorded:
        """Writes what is missing."""
        experiment = self._store.experiment()
        self._store.mark_abandoned(experiment)
        compared, recorded = trainings[0].key[:_DIGITS], dict[str, str]()
        for training in reversed(trainings):  # MLflow's table has the newest first
            recorded |= self._record_training(experiment, training, compared, comparison)
        marked = self._store.runs(experiment, f"tags.{_COMPARISON} = '{compared}'")
        self._unmark([run for run in marked if run.info.run_id not in recorded.values()])
        return Recorded(recorded, self._show(experiment, trainings[0], compared, answer(comparison)))

    def _record_training(
        self, experiment: Experiment, training: TrainingRecord, compared: str, comparison: Comparison
    ) -> dict[str, str]:
        """Writes what is missing of one training, and returns its variants' runs."""
        training = dataclasses.replace(training, tags={**training.tags, TRAINING: training.key[:_DIGITS]})
        parent = self._parent(experiment, training)
        recorded = self._record_variants(experiment, parent, training, comparison)
        self._mark(self._store.children(experiment, parent.info.run_id), compared, comparison)
        self._store.keep_files(parent.info.run_id, training.files)
        if parent.info.run_name != training.name:  # of a version that named it otherwise, or of data that were renamed
            self._client.update_run(parent.info.run_id, name=training.name)
        linked = f"[The report]({_report_link(parent)})\n\n" if training.files else ""
        self._client.set_tag(parent.info.run_id, MLFLOW_RUN_NOTE, linked + training.description)
        return recorded

    def _show(self, experiment: Experiment, main: TrainingRecord, compared: str, found: str) -> str:
        """Stores a view of this comparison, links it in the experiment's description, and returns the link."""
        id_, tag = experiment.experiment_id, view_tag(compared)
        state = view_state(f"tags.{_COMPARISON} = '{compared}' and tags.{_LATEST} = 'yes'")
        (parent,) = self._store.runs(experiment, f"tags.training_key = '{main.key}'")
        link, charts, report = view_link(id_, compared), charts_link(id_, compared), _report_link(parent)
        wanted = {
            tag: named_view(state, experiment.tags.get(tag), now_ms()),
            MLFLOW_RUN_NOTE: _NOTE.format(link=link, charts=charts, report=report, answer=found),
            **without_names(experiment.tags, compared),
        }
        for name, value in wanted.items():
            if experiment.tags.get(name) != value:
                self._client.set_experiment_tag(id_, name, value)
        return link

    def _record_variants(
        self, experiment: Experiment, parent: Run, training: TrainingRecord, comparison: Comparison
    ) -> dict[str, str]:
        existing, recorded = self._store.children(experiment, parent.info.run_id), {}
        log = self._store.models(experiment)
        models = log.by_run(training.tags[TRAINING])
        data = used_for(self._data(parent, training), "evaluation")
        for orphan in models.keys() - {run.info.run_id for run in existing}:  # somebody has deleted its run
            log.discard(orphan, models[orphan])
        own = [result for result in comparison.results if result.spec.training == training.training]
        for result in reversed(own):  # MLflow's table has the newest first
            made = _variant_run(result, parent, data, training, comparison)
            same_name = [run for run in existing if run.info.run_name == result.name]
            right = [run for run in same_name if _is_right(run, made, models)][:1]
            for run in same_name:
                if run not in right:
                    self._delete(run, log, models)
            for run in right:
                self._store.renew(run, models[run.info.run_id][0].model_id, made, [_TIMED_ON])
            recorded[result.name] = right[0].info.run_id if right else self._store.create(experiment, made)
        return recorded

    def _data(self, parent: Run, training: TrainingRecord) -> Dataset:
        """Returns the data set as the training's run names it, by the place where it lay then; older ones had none."""
        for given in parent.inputs.dataset_inputs if parent.inputs else ():
            if given.dataset.schema:
                return given.dataset
        dataset = training.data.entity()
        self._client.log_inputs(parent.info.run_id, [used_for(dataset, "training")])
        return dataset

    def _mark(self, children: Sequence[Run], compared: str, comparison: Comparison) -> None:
        """Tags the variants of this comparison and its best trade-offs; tags of earlier comparisons are removed."""
        chosen = comparison.recommended.name if comparison.recommended else None
        names = {result.name for result in comparison.results}
        self._unmark([run for run in children if run.info.run_name not in names])
        for run in children:
            if (name := run.info.run_name) in names:
                marks = {
                    _COMPARISON: compared,
                    _LATEST: "yes",
                    _FRONT: "yes" if name in comparison.front else "no",
                    _RECOMMENDED: "yes" if name == chosen else "no",
                }
                for tag, mark in marks.items():
                    if run.data.tags.get(tag) != mark:
                        self._client.set_tag(run.info.run_id, tag, mark)

    def _unmark(self, runs: Sequence[Run]) -> None:
        """Removes the tags of a comparison from runs that are none of it any more, as far as they are still there."""
        for run in runs:
            for tag in (_COMPARISON, _LATEST, _FRONT, _RECOMMENDED):
                if tag in run.data.tags:
                    self._client.delete_tag(run.info.run_id, tag)

    def _parent(self, experiment: Experiment, training: TrainingRecord) -> Run:
        runs = self._store.runs(experiment, f"tags.training_key = '{training.key}'")
        finished = [run for run in runs if is_finished(run)]
        for run in runs:
            if run not in finished[:1]:  # left half-written by a process that was killed
                self._delete_training(experiment, run, training.tags[TRAINING])
        if finished:
            return finished[0]
        made = NewRun(
            name=training.name,
            params=training.params,
            metrics={},
            tags={**training.tags, "training_key": training.key},
            curves=[*curves(training.history), *system_points(training.machine_load)],
            data=used_for(training.data.entity(), "training"),
        )
        return self._client.get_run(self._store.create(experiment, made))

    def _delete_training(self, experiment: Experiment, parent: Run, training: str) -> None:
        log = self._store.models(experiment)
        models = log.by_run(training)
        for run in (*self._store.children(experiment, parent.info.run_id), parent):
            self._delete(run, log, models)

    def _delete(self, run: Run, log: ModelLog, models: Mapping[str, Sequence[LoggedModel]]) -> None:
        log.discard(run.info.run_id, models.get(run.info.run_id, ()))
        self._client.delete_run(run.info.run_id)


def _variant_run(
    result: EvaluationResult, parent: Run, data: DatasetInput, training: TrainingRecord, comparison: Comparison
) -> NewRun:
    """Returns the run of a variant; its key is a digest of all that may not change while the run stays."""
    metrics, tuning = run_figures(run_metrics(result, comparison)), result.finetune_history
    params = {**training.params, "method": result.method, **result.spec.parameters()}
    # Another network beside it has all timed anew, which is no reason for another run of this one.
    lasting = {name: value for name, value in metrics.items() if name not in _TIMES}
    network = training.networks / result.name
    model = [network_digest(network), training.serving.digest()]
    tags = {
        **training.tags,
        _KEY: _digest([training.key, result.name, params, lasting, tuning, model]),
        MLFLOW_PARENT_RUN_ID: parent.info.run_id,
        _RUN_TYPE: "evaluation",
        "method": result.method,
        "recovery": result.spec.recovery,
        _TIMED_ON: comparison.machine.title if comparison.machine else "",
        MLFLOW_RUN_NOTE: describe(comparison, result),
    }
    return NewRun(
        name=result.name,
        params=params,
        metrics=metrics,
        tags=tags,
        curves=curves(tuning, "finetune/"),
        data=data,
        network=(network, training.serving),
    )


def _is_right(run: Run, wanted: NewRun, models: Mapping[str, Sequence[LoggedModel]]) -> bool:
    """Returns whether a run was written to its end, with its model, and holds what it should."""
    same = run.data.tags.get(_KEY) == wanted.tags[_KEY]
    return same and is_finished(run) and is_complete(models.get(run.info.run_id, ()))


def _report_link(parent: Run) -> str:
    """Returns the link to a training's report in MLflow's UI."""
    about = parent.info
    place = f"#/experiments/{about.experiment_id}/runs/{about.run_id}/artifacts/{REPORT}"
    return f"{place}?workflowType=machine_learning"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
