"""MLflow's records: complete, once each, and up to date."""

import base64
import dataclasses
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Experiment

from analysis.comparison import Comparison
from tests.comparisons import make_result, of_training, recovered
from tests.tracking.recorded import RESULTS, active, everything, names, parent_of, record, training
from tracking import mlflow_runs
from tracking.mlflow_store import EXPERIMENT
from tracking.registry import ALIAS, RegistrationError, register


def test_each_variant_is_one_run_below_the_training(uri: str, tmp_path: Path) -> None:
    recorded = record(uri, RESULTS, training(), tmp_path)
    assert names(uri) == ["baseline", "svd_rank_8", "training"]
    assert recorded == {run.info.run_name: run.info.run_id for run in active(uri) if run.info.run_name != "training"}
    parent = parent_of(uri).info.run_id
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


def test_other_times_are_written_into_the_runs_that_there_are(uri: str, tmp_path: Path) -> None:
    """A further variant has all timed anew; runs that the registry knows stay."""
    before = record(uri, RESULTS, training(), tmp_path)
    others = [RESULTS[0], make_result("svd", 8, 0.7, 300, latency_ms=5.0)]
    assert record(uri, others, training(), tmp_path) == before
    (run,) = [run for run in active(uri) if run.info.run_name == "svd_rank_8"]
    assert run.data.metrics["latency_ms"] == 5
    assert run.data.metrics["time_ratio"] == pytest.approx(0.4)
    assert run.data.tags["timed_on"] == "a processor, 2 threads"


def test_a_changed_result_replaces_the_old_record(uri: str, tmp_path: Path) -> None:
    record(uri, RESULTS, training(), tmp_path)
    record(uri, [RESULTS[0], make_result("svd", 8, 0.65, 300)], training(), tmp_path)
    assert names(uri) == ["baseline", "svd_rank_8", "training"]
    svd = next(run for run in active(uri) if run.info.run_name == "svd_rank_8")
    assert svd.data.metrics["dice"] == pytest.approx(0.65)


def test_another_training_is_another_parent(uri: str, tmp_path: Path) -> None:
    recorded = [record(uri, RESULTS, training(key), tmp_path)["svd_rank_8"] for key in ("one", "two")]
    assert len({MlflowClient(uri).get_run(run).data.tags["mlflow.parentRunId"] for run in recorded}) == 2
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
    record(uri, RESULTS, training(files=[(file, None), (file, "plots")]), tmp_path)
    client, parent = MlflowClient(uri), parent_of(uri).info.run_id
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
    points = client.get_metric_history(svd.info.run_id, "finetune/valid_dice")
    assert [(point.step, point.value) for point in points] == [(1, 0.4), (2, 0.6)]
    assert {f"finetune/{name}" for name in ("train_loss", "valid_loss", "valid_iou", "lr", "seconds")} < set(
        svd.data.metrics
    )
    assert svd.data.metrics["dice"] == pytest.approx(0.7)
    assert svd.data.metrics["detail/dice_lesion_before_recovery"] == pytest.approx(0.1)


def test_another_fine_tuning_replaces_the_record(uri: str, tmp_path: Path) -> None:
    for curve in ([0.4, 0.6], [0.5, 0.6], [0.5, 0.6]):
        record(uri, [RESULTS[0], recovered(RESULTS[1], 0.1, curve)], training(), tmp_path)
    assert names(uri) == ["baseline", "svd_rank_8", "training"]
    svd = next(run for run in active(uri) if run.info.run_name == "svd_rank_8")
    points = MlflowClient(uri).get_metric_history(svd.info.run_id, "finetune/valid_dice")
    assert [point.value for point in points] == [0.5, 0.6]


def test_every_run_says_what_it_is_and_on_which_data(uri: str, tmp_path: Path) -> None:
    record(uri, RESULTS, training(), tmp_path)
    notes = {run.info.run_name: run.data.tags["mlflow.note.content"] for run in active(uri)}
    assert notes["training"] == "**The answer.**"
    assert notes["svd_rank_8"].startswith("svd_rank_8 keeps 87.5 % of the Dice with 30 % of the parameters.")
    for run in active(uri):
        (given,) = run.inputs.dataset_inputs
        assert (given.dataset.name, given.dataset.digest) == ("phantoms: 30 images 32x32 gray", "d")
        assert [tag.value for tag in given.tags] == ["training" if run.info.run_name == "training" else "evaluation"]


def test_intervals_are_metrics_in_sections_of_their_own(uri: str, tmp_path: Path) -> None:
    record(uri, RESULTS, training(), tmp_path)
    metrics = {run.info.run_name: run.data.metrics for run in active(uri)}
    assert metrics["svd_rank_8"]["ci95/dice_lesion_low"] < 0.7 < metrics["svd_rank_8"]["ci95/dice_lesion_high"]
    assert metrics["svd_rank_8"]["change/dice_lesion"] == pytest.approx(-0.1, abs=1e-3)
    assert not any(name.startswith("change/") for name in metrics["baseline"])


def test_the_best_tradeoffs_are_tagged_and_the_tags_follow_the_latest_comparison(uri: str, tmp_path: Path) -> None:
    results = [RESULTS[0], make_result("svd", 8, 0.75, 300)]
    record(uri, results, training(), tmp_path)
    better = make_result("svd", 4, 0.795, 200)
    record(uri, [*results, better], training(), tmp_path)
    tags = {run.info.run_name: run.data.tags for run in active(uri)}
    assert {name: tags[name].get("pareto_front") for name in tags} == {
        "training": None,
        "baseline": "yes",
        "svd_rank_8": "no",
        "svd_rank_4": "yes",
    }
    assert [name for name in tags if tags[name].get("recommended") == "yes"] == ["svd_rank_4"]
    record(uri, results, training(), tmp_path)
    tags = {run.info.run_name: run.data.tags for run in active(uri)}
    assert "pareto_front" not in tags["svd_rank_4"], "it was not compared this time"
    assert tags["svd_rank_8"]["pareto_front"] == "yes"


def test_a_run_says_what_was_done_to_its_network(uri: str, tmp_path: Path) -> None:
    recalibrated = dataclasses.replace(RESULTS[1], spec=dataclasses.replace(RESULTS[1].spec, recalibrated=12))
    record(uri, [RESULTS[0], recovered(recalibrated, 0.1, [0.4])], training(), tmp_path)
    tags = {run.info.run_name: run.data.tags.get("recovery") for run in active(uri)}
    assert tags == {"training": None, "baseline": "none", "svd_rank_8": "recalibrated, fine-tuned"}


def test_pictures_of_an_earlier_comparison_do_not_stay(uri: str, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("report.html", "one.png", "two.png")]
    for file in files:
        file.write_text("content")
    record(uri, RESULTS, training(files=[(files[0], None), (files[1], "plots"), (files[2], "plots")]), tmp_path)
    record(uri, RESULTS, training(files=[(files[0], None), (files[2], "plots")]), tmp_path)
    client, parent = MlflowClient(uri), parent_of(uri).info.run_id
    assert [item.path for item in client.list_artifacts(parent, "plots")] == ["plots/two.png"]
    assert "report.html" in [item.path for item in client.list_artifacts(parent)]


def test_the_report_is_the_first_file_also_where_an_earlier_version_put_others_beside_it(
    uri: str, tmp_path: Path
) -> None:
    files = {name: tmp_path / name for name in ("report.html", "a.csv", "one.png")}
    for file in files.values():
        file.write_text("content")
    report, table, picture = files.values()
    record(uri, RESULTS, training(files=[(report, None), (table, None), (picture, "plots")]), tmp_path)
    client, parent = MlflowClient(uri), parent_of(uri).info.run_id
    client.log_text(parent, "somebody's", "notes.txt")
    placed = [(report, None), (table, "results"), (picture, "results/plots")]
    record(uri, RESULTS, training(files=placed), tmp_path)
    assert sorted(item.path for item in client.list_artifacts(parent)) == ["notes.txt", "report.html", "results"]
    assert [item.path for item in client.list_artifacts(parent, "results")] == ["results/a.csv", "results/plots"]
    assert [item.path for item in client.list_artifacts(parent, "results/plots")] == ["results/plots/one.png"]


def test_the_network_can_be_registered(uri: str, tmp_path: Path) -> None:
    run = record(uri, RESULTS, training(), tmp_path)["svd_rank_8"]
    client = MlflowClient(uri)
    assert register(uri, "tumor", "svd_rank_8", run, "small") == "1"
    assert register(uri, "tumor", "svd_rank_8", run, "small") == "1", "the same network is no new version"
    champion = client.get_model_version_by_alias("tumor", ALIAS)
    assert (champion.run_id, champion.tags["variant"], champion.description) == (run, "svd_rank_8", "small")
    other = record(uri, [*RESULTS, make_result("svd", 4, 0.79, 200)], training(), tmp_path)["svd_rank_4"]
    assert register(uri, "tumor", "svd_rank_4", other, "smaller") == "2"
    assert client.get_model_version_by_alias("tumor", ALIAS).run_id == other


def test_a_name_that_mlflow_does_not_allow_is_a_clear_error(uri: str, tmp_path: Path) -> None:
    run = record(uri, RESULTS, training(), tmp_path)["svd_rank_8"]
    with pytest.raises(RegistrationError, match="svd_rank_8 cannot be registered as 'a/b'"):
        register(uri, "a/b", "svd_rank_8", run, "small")


def stored_view(experiment: Experiment, key: str) -> dict[str, Any]:
    """A view as MLflow's UI unpacks it, in the menu or not."""
    stored = experiment.tags[f"mlflow.sharedViewState.{key}"]
    state = json.loads(stored)["state"] if stored.startswith("{") else stored
    return json.loads(zlib.decompress(base64.b64decode(state.removeprefix("deflate;"))))


def test_a_view_shows_the_variants_of_the_latest_comparison_alone(uri: str, tmp_path: Path) -> None:
    everything(uri, [*RESULTS, make_result("svd", 4, 0.79, 200)], training("ab" * 32), tmp_path)
    view = everything(uri, RESULTS, training("ab" * 32), tmp_path).view
    record(uri, RESULTS, training("cd" * 32), tmp_path)
    experiment = MlflowClient(uri).get_experiment_by_name(EXPERIMENT)
    runs = f"#/experiments/{experiment.experiment_id}/runs"
    assert view == f"{runs}?workflowType=machine_learning&viewStateShareKey=abababababab"
    state = stored_view(experiment, "abababababab")
    shown = MlflowClient(uri).search_runs([experiment.experiment_id], state["searchFilter"])
    assert sorted(run.info.run_name for run in shown) == ["baseline", "svd_rank_8"]
    names = {name for run in shown for name in run.data.metrics}
    for chart in state["compareRunCharts"]:
        axes = [chart[axis]["key"] for axis in ("xaxis", "yaxis") if axis in chart]
        assert names >= {*axes, *chart.get("selectedMetrics", [])}
    columns = [column.split("`")[1] for column in state["selectedColumns"] if column.startswith("metrics.")]
    assert columns == ["dice", "dice_lesion", "size_mb", "time_ratio"]
    assert names >= {*columns}
    assert "cdcdcdcdcdcd" in experiment.tags["mlflow.note.content"], "the description leads to the latest"


def test_the_latest_comparison_alone_is_in_the_menu_of_views(uri: str, tmp_path: Path) -> None:
    for key in ("ab", "cd", "ab"):
        record(uri, RESULTS, training(32 * key), tmp_path)
    client = MlflowClient(uri)
    tags = client.get_experiment_by_name(EXPERIMENT).tags
    views = {name: value for name, value in tags.items() if name.startswith("mlflow.sharedViewState.")}
    in_menu = {name: json.loads(value)["name"] for name, value in views.items() if value.startswith("{")}
    assert in_menu == {"mlflow.sharedViewState.abababababab": "Latest comparison"}
    assert len(views) == 2, "links to earlier ones go on to work"
    record(uri, RESULTS, training(32 * "ab"), tmp_path)
    assert client.get_experiment_by_name(EXPERIMENT).tags == tags, "the same comparison changes nothing, not a date"


def test_views_of_other_people_stay_in_the_menu(uri: str, tmp_path: Path) -> None:
    record(uri, RESULTS, training(), tmp_path)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    theirs = {"mine": json.dumps({"name": "mine", "createdAt": 1, "state": "{}"}), "old": "deflate;x", "odd": "[1"}
    for key, value in theirs.items():
        client.set_experiment_tag(experiment, f"mlflow.sharedViewState.{key}", value)
    record(uri, RESULTS, training("two"), tmp_path)
    tags = client.get_experiment(experiment).tags
    assert {key: tags[f"mlflow.sharedViewState.{key}"] for key in theirs} == theirs


def test_a_training_leads_to_its_report_and_takes_its_present_name(uri: str, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("report")
    record(uri, RESULTS, training(files=[(report, None)]), tmp_path)
    record(uri, RESULTS, training(files=[(report, None)], name="training phantoms"), tmp_path)
    client = MlflowClient(uri)
    (parent,) = [run for run in active(uri) if "training_key" in run.data.tags]
    assert (parent.info.run_name, parent.data.tags["mlflow.runName"]) == ("training phantoms", "training phantoms")
    link = f"#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}/artifacts/report.html"
    assert parent.data.tags["mlflow.note.content"].startswith(f"[The report]({link}")
    assert link in client.get_experiment(parent.info.experiment_id).tags["mlflow.note.content"]


def test_what_a_training_took_of_its_machine_is_kept_with_it(uri: str, tmp_path: Path) -> None:
    load = {"time_ms": [1000, 2000], "cpu_utilization_percentage": [10.0, 20.0]}
    record(uri, RESULTS, training(machine_load=load), tmp_path)
    points = MlflowClient(uri).get_metric_history(parent_of(uri).info.run_id, "system/cpu_utilization_percentage")
    assert [(point.timestamp, point.step, point.value) for point in points] == [(1000, 0, 10.0), (2000, 1, 20.0)]


def several(uri: str, tmp_path: Path, *trainings: str) -> dict[str, str]:
    """Records a comparison of the main training and further ones; returns each variant's run."""
    further = [(name, int(name.removeprefix("filters_"))) for name in trainings]
    results = [*RESULTS, *(of_training(result, filters) for _, filters in further for result in RESULTS)]
    for result in results:
        (tmp_path / "networks" / result.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "networks" / result.name / "network.json").write_text("{}")
    records = [training("ab" * 32), *(training(name, name=name, training=name) for name, _ in further)]
    placed = [dataclasses.replace(each, networks=tmp_path / "networks") for each in records]
    return mlflow_runs.record(uri, placed, Comparison(results), tmp_path / "lock").runs


def test_every_training_is_a_parent_of_its_own_variants(uri: str, tmp_path: Path) -> None:
    recorded = several(uri, tmp_path, "filters_8")
    assert {*recorded} == {"baseline", "svd_rank_8", "filters_8", "filters_8_svd_rank_8"}
    by_id = {run.info.run_id: run for run in active(uri)}
    parents = {name: by_id[by_id[run].data.tags["mlflow.parentRunId"]].info.run_name for name, run in recorded.items()}
    assert parents == {
        "baseline": "training",
        "svd_rank_8": "training",
        "filters_8": "filters_8",
        "filters_8_svd_rank_8": "filters_8",
    }
    assert len(by_id) == 6
    assert by_id[recorded["filters_8_svd_rank_8"]].data.params["filters"] == "8"
    assert several(uri, tmp_path, "filters_8") == recorded, "recording the same again changes nothing"


def test_a_further_training_leaves_the_runs_of_the_others(uri: str, tmp_path: Path) -> None:
    before = several(uri, tmp_path, "filters_8")
    after = several(uri, tmp_path, "filters_8", "filters_4")
    assert {name: after[name] for name in before} == before


def test_the_view_shows_all_trainings_of_the_comparison_and_none_that_has_left_it(uri: str, tmp_path: Path) -> None:
    several(uri, tmp_path, "filters_8", "filters_4")
    several(uri, tmp_path, "filters_8")
    experiment = MlflowClient(uri).get_experiment_by_name(EXPERIMENT)
    search = stored_view(experiment, "abababababab")["searchFilter"]
    shown = MlflowClient(uri).search_runs([experiment.experiment_id], search)
    names = ["baseline", "filters_8", "filters_8_svd_rank_8", "svd_rank_8"]
    assert sorted(run.info.run_name for run in shown) == names
    left = [run for run in active(uri) if run.info.run_name.startswith("filters_4_")]
    assert left, "its runs stay"
    assert not {"latest", "pareto_front", "recommended", "comparison"} & {*left[0].data.tags}
