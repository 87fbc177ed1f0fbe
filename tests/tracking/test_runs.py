"""MLflow's records: complete, once each, and up to date."""

import dataclasses
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.tracking.conftest import make_result, recovered
from tracking import runs
from tracking.runs import EXPERIMENT, TrainingRecord

HISTORY = {"epochs": [{"epoch": 0, "valid_dice": 0.5, "lr": 0.1}, {"epoch": 1, "valid_dice": 0.6, "lr": 0.05}]}
RESULTS = [make_result("baseline", None, 0.8, 1000), make_result("svd", 8, 0.7, 300)]


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def training(key: str = "one", **changes) -> TrainingRecord:
    fields = {"key": key, "params": {"training.epochs": 2}, "tags": {"data_digest": "d"}, "history": HISTORY}
    return TrainingRecord(**fields | {"files": []} | changes)


def record(uri: str, results: list, record_of: TrainingRecord, tmp_path: Path) -> str:
    return runs.record(uri, record_of, results, tmp_path / "lock")


def active(uri: str) -> list[Run]:
    client = MlflowClient(uri)
    return client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])


def names(uri: str) -> list[str]:
    return sorted(run.info.run_name for run in active(uri))


def test_each_variant_is_one_run_below_the_training(uri: str, tmp_path: Path) -> None:
    parent = record(uri, RESULTS, training(), tmp_path)
    assert names(uri) == ["baseline", "svd_rank_8", "training"]
    for run in active(uri):
        assert run.info.status == "FINISHED"
        if run.info.run_name != "training":
            assert run.data.tags["mlflow.parentRunId"] == parent
            assert run.data.params["training.epochs"] == "2"
    svd = next(run for run in active(uri) if run.info.run_name == "svd_rank_8")
    assert (svd.data.params["method"], svd.data.params["rank"]) == ("svd", "8")
    assert svd.data.metrics["params"] == 300
    assert svd.data.metrics["param_reduction_pct"] == pytest.approx(70)
    assert svd.data.metrics["dice_retained"] == pytest.approx(0.7 / 0.8)


def test_recording_the_same_again_changes_nothing(uri: str, tmp_path: Path) -> None:
    record(uri, RESULTS, training(), tmp_path)
    before = {run.info.run_id for run in active(uri)}
    record(uri, RESULTS, training(), tmp_path)
    assert {run.info.run_id for run in active(uri)} == before


def test_a_new_variant_joins_the_others(uri: str, tmp_path: Path) -> None:
    record(uri, RESULTS, training(), tmp_path)
    record(uri, [*RESULTS, make_result("arsvd", 0.9, 0.75, 500)], training(), tmp_path)
    assert names(uri) == ["arsvd_tau_0.9", "baseline", "svd_rank_8", "training"]


def test_a_changed_result_replaces_the_old_record(uri: str, tmp_path: Path) -> None:
    record(uri, RESULTS, training(), tmp_path)
    record(uri, [RESULTS[0], make_result("svd", 8, 0.65, 300)], training(), tmp_path)
    assert names(uri) == ["baseline", "svd_rank_8", "training"]
    svd = next(run for run in active(uri) if run.info.run_name == "svd_rank_8")
    assert svd.data.metrics["dice"] == pytest.approx(0.65)


def test_another_training_is_another_parent(uri: str, tmp_path: Path) -> None:
    parents = {record(uri, RESULTS, training(key), tmp_path) for key in ("one", "two")}
    assert len(parents) == 2
    assert names(uri).count("svd_rank_8") == 2


def test_a_record_that_was_cut_off_is_replaced(uri: str, tmp_path: Path) -> None:
    record(uri, RESULTS, training(), tmp_path)
    client = MlflowClient(uri)
    for run in active(uri):
        client.update_run(run.info.run_id, status="RUNNING")
    record(uri, RESULTS, training(), tmp_path)
    assert names(uri) == ["baseline", "svd_rank_8", "training"]
    assert {run.info.status for run in active(uri)} == {"FINISHED"}


def test_curves_and_files_are_kept_with_the_training(uri: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("report")
    parent = record(uri, RESULTS, dataclasses.replace(training(), files=[(file, None), (file, "plots")]), tmp_path)
    client = MlflowClient(uri)
    assert [point.value for point in client.get_metric_history(parent, "valid_dice")] == [0.5, 0.6]
    assert {item.path for item in client.list_artifacts(parent)} == {"report.html", "plots"}
    assert (tmp_path / "mlruns").is_dir(), "files lie beside the database, where `mlflow ui` looks"


def test_values_that_are_not_finite_are_left_out(uri: str, tmp_path: Path) -> None:
    broken = dataclasses.replace(RESULTS[1], metrics={**RESULTS[1].metrics, "dice_global": float("nan")})
    record(uri, [RESULTS[0], broken], training(), tmp_path)
    svd = next(run for run in active(uri) if run.info.run_name == "svd_rank_8")
    assert "dice_global" not in svd.data.metrics


def test_the_curves_of_fine_tuning_are_kept_with_the_variant(uri: str, tmp_path: Path) -> None:
    record(uri, [RESULTS[0], recovered(RESULTS[1], 0.1, [0.4, 0.6])], training(), tmp_path)
    client = MlflowClient(uri)
    svd = next(run for run in active(uri) if run.info.run_name == "svd_rank_8")
    points = client.get_metric_history(svd.info.run_id, "finetune_valid_dice")
    assert [(point.step, point.value) for point in points] == [(1, 0.4), (2, 0.6)]
    assert {f"finetune_{name}" for name in ("train_loss", "valid_loss", "valid_iou", "lr", "seconds")} < set(
        svd.data.metrics
    )
    assert svd.data.metrics["dice"] == pytest.approx(0.7)
    assert svd.data.metrics["dice_before_recovery"] == pytest.approx(0.1)


def test_another_fine_tuning_replaces_the_record(uri: str, tmp_path: Path) -> None:
    for curve in ([0.4, 0.6], [0.5, 0.6], [0.5, 0.6]):
        record(uri, [RESULTS[0], recovered(RESULTS[1], 0.1, curve)], training(), tmp_path)
    assert names(uri) == ["baseline", "svd_rank_8", "training"]
    svd = next(run for run in active(uri) if run.info.run_name == "svd_rank_8")
    points = MlflowClient(uri).get_metric_history(svd.info.run_id, "finetune_valid_dice")
    assert [point.value for point in points] == [0.5, 0.6]
