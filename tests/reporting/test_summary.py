"""The files that programs read."""

import csv
import dataclasses
import io
import json

import pytest

from analysis.comparison import Comparison
from models.variant_spec import VariantSpec
from reporting.summary import per_image_table, results_table, run_metrics, summarize, to_json
from tests.comparisons import images, make_result, means, of_patients, recovered
from torch_lowrank.report import ParameterShares

BASELINE = make_result("baseline", None, 0.8, 1000)
SVD = [make_result("svd", rank, 0.5, 10 * rank) for rank in (16, 8)]
ARSVD = make_result("arsvd", 0.9, 0.75, 500)


def test_variants_are_listed_by_method_in_order() -> None:
    summary = summarize(Comparison([*SVD, ARSVD, BASELINE]), {"config": {"seed": 1}})
    assert [entry["rank"] for entry in summary["svd_variants"]] == [8, 16]
    assert [entry["tau"] for entry in summary["arsvd_variants"]] == [0.9]
    assert summary["budget_variants"] == []
    assert summary["baseline"]["name"] == "baseline"
    assert summary["config"] == {"seed": 1}


def test_other_rules_have_lists_and_columns_of_their_own() -> None:
    rules = [make_result(method, value, 0.6, 300) for method, value in (("evbmf", None), ("energy", 0.9))]
    solved = dataclasses.replace(rules[0], spec=VariantSpec("evbmf", budget=0.25, scale=2.5))
    comparison = Comparison([BASELINE, *rules, solved, ARSVD])
    summary = summarize(comparison, {})
    assert [entry["name"] for entry in summary["evbmf_variants"]] == ["evbmf", "evbmf_budget_0.25"]
    assert (summary["evbmf_variants"][1]["scale"], summary["energy_variants"][0]["energy"]) == (2.5, 0.9)
    assert summary["stable_rank_variants"] == []
    rows = list(csv.DictReader(io.StringIO(results_table(comparison))))
    order = ["baseline", "arsvd_tau_0.9", "energy_0.9", "evbmf", "evbmf_budget_0.25"]
    assert [row["variant"] for row in rows] == order
    assert [row["energy"] for row in rows] == ["", "", "0.9", "", ""]


def test_reductions_are_against_the_baseline() -> None:
    entry = summarize(Comparison([BASELINE, ARSVD]), {})["arsvd_variants"][0]
    assert entry["compression_vs_baseline_%"]["params"] == pytest.approx(50)
    assert entry["info"]["params"] == 500


def test_theoretical_size_counts_replaced_layers_in_float32() -> None:
    entry = summarize(Comparison([BASELINE, ARSVD]), {})["arsvd_variants"][0]
    factors = sum(layer.params_after for layer in ARSVD.layers if layer.rank is not None)
    assert entry["theoretical_factors_MB"] == pytest.approx(4 * factors / 1e6)
    assert entry["per_layer_ranks"]["inc.double_conv.0"] is None


def test_json_is_strict() -> None:
    text = to_json({"a": [float("nan"), float("inf"), 1.5], "name": "ä"}).decode()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": [None, None, 1.5], "name": "ä"}


def test_the_table_has_one_row_a_variant() -> None:
    rows = list(csv.DictReader(io.StringIO(results_table(Comparison([*SVD, BASELINE, ARSVD])))))
    assert [row["variant"] for row in rows] == ["baseline", "svd_rank_8", "svd_rank_16", "arsvd_tau_0.9"]
    assert rows[1]["rank"] == "8"
    assert rows[0]["rank"] == ""
    assert float(rows[3]["dice"]) == pytest.approx(0.75)


def test_times_stand_beside_the_baselines_with_their_interval_and_their_machine() -> None:
    quick, untimed = make_result("svd", 8, 0.5, 100, latency_ms=5.0), make_result("svd", 16, 0.5, 100, latency_ms=0)
    comparison = Comparison([BASELINE, quick, untimed])
    summary = summarize(comparison, {})
    expected = {"latency_ms": 5.0, "latency_ratio": 0.4, "latency_ratio_low": 0.392, "latency_ratio_high": 0.408}
    first, second = summary["svd_variants"]
    assert {name: first["info"][name] for name in expected} == pytest.approx(expected)
    assert all(second["info"][name] is None for name in expected)
    assert {name: run_metrics(quick, comparison)[name] for name in expected} == pytest.approx(expected)
    assert not {*expected} & {*run_metrics(untimed, comparison)}
    _, row, empty = csv.DictReader(io.StringIO(results_table(comparison)))
    assert {name: float(row[name]) for name in expected} == pytest.approx(expected)
    assert all(empty[name] == "" for name in expected)
    assert summary["timed_on"] == {"device": "a processor", "cores": 4, "threads": 2}


def test_a_baseline_without_any_overlap_gives_no_infinite_number() -> None:
    empty = make_result("baseline", None, 0.0, 1000)
    assert "dice_retained" not in run_metrics(ARSVD, Comparison([empty, ARSVD]))


def test_a_recovered_variant_has_its_curves_and_what_it_was_before() -> None:
    tuned = recovered(ARSVD, 0.25, [0.5, 0.7])
    summary = summarize(Comparison([BASELINE, *SVD, tuned]), {})
    entry = summary["arsvd_variants"][0]
    assert entry["finetune_history"]["best_epoch"] == 2
    assert entry["metrics"]["dice_before_recovery"] == 0.25
    assert not any("finetune_history" in other for other in (summary["baseline"], *summary["svd_variants"]))
    rows = list(csv.DictReader(io.StringIO(results_table(Comparison([BASELINE, tuned])))))
    assert [row["dice_before_recovery"] for row in rows] == ["", "0.25"]
    assert "before" not in results_table(Comparison([BASELINE, ARSVD]))
    assert run_metrics(tuned, Comparison([BASELINE, tuned]))["iou_before_recovery"] == pytest.approx(0.25 / 1.75)


def test_a_network_that_finds_nothing_keeps_no_dice() -> None:
    blind = dataclasses.replace(ARSVD, metrics=means(0.0) | {"dice": 0.9})
    assert run_metrics(blind, Comparison([BASELINE, blind]))["dice_retained"] == 0


def test_a_rank_or_tau_that_a_budget_solved_stands_by_name() -> None:
    solved = dataclasses.replace(ARSVD, spec=VariantSpec("arsvd", budget=0.25, tau=0.4125))
    svd = dataclasses.replace(ARSVD, spec=VariantSpec("svd", budget=0.25, rank=12))
    comparison = Comparison([BASELINE, solved, svd])
    summary = summarize(comparison, {})
    assert (summary["arsvd_variants"][0]["tau"], summary["svd_variants"][0]["rank"]) == (0.4125, 12)
    rows = {row["variant"]: row for row in csv.DictReader(io.StringIO(results_table(comparison)))}
    assert (rows["arsvd_budget_0.25"]["tau"], rows["svd_budget_0.25"]["rank"]) == ("0.4125", "12")


def test_a_paired_comparison_can_be_repeated_from_the_values_of_single_images() -> None:
    manifest = {
        "splits": {
            split: {"samples": [{"file_name": f"{split} {number}.png"} for number in range(12)]}
            for split in ("valid", "test")
        }
    }
    valid = dataclasses.replace(ARSVD, valid_per_image=images([0.25] * 12))
    comparison = Comparison([BASELINE, valid])
    rows = list(csv.DictReader(io.StringIO(per_image_table(comparison, manifest))))
    assert len(rows) == 2 * 2 * 12
    assert {"variant", "split", "file_name", "lesion_px", "dice", "iou"} <= set(rows[0])
    of = {(row["variant"], row["split"], row["file_name"]): float(row["dice"]) for row in rows}
    assert of["arsvd_tau_0.9", "valid", "valid 3.png"] == 0.25
    changes = [
        of["arsvd_tau_0.9", "test", f"test {number}.png"] - of["baseline", "test", f"test {number}.png"]
        for number in range(12)
    ]
    assert sum(changes) / 12 == pytest.approx(comparison.qualities["arsvd_tau_0.9"].change["dice"].mean)


def test_classes_have_their_metrics_by_name_and_by_what_mlflow_takes() -> None:
    classes = {"edema": {"dice_lesion": 0.5}, "tumor (core)": {"dice_lesion": 0.75}, "tumor [core]": {"dice": 0.125}}
    result = dataclasses.replace(ARSVD, classes=classes)
    comparison = Comparison([BASELINE, result])
    numbers = run_metrics(result, comparison)
    assert numbers["classes/dice_lesion_edema"] == 0.5
    assert numbers["classes/dice_lesion_tumor _core_"] == 0.75
    assert numbers["classes/dice_tumor _core__2"] == 0.125
    assert summarize(comparison, {})["arsvd_variants"][0]["classes"] == classes
    assert "classes_dice_lesion_edema" in results_table(comparison).splitlines()[0]


def test_what_networks_are_chosen_by_is_recorded() -> None:
    comparison = Comparison([BASELINE, ARSVD])
    assert run_metrics(ARSVD, comparison)["valid/dice_lesion"] == 0.75
    assert summarize(comparison, {})["arsvd_variants"][0]["valid"]["dice_lesion"] == 0.75
    assert "valid_dice_lesion" in results_table(comparison).splitlines()[0]


def test_files_say_what_intervals_are_over() -> None:
    unknown, known = [BASELINE, ARSVD], of_patients([BASELINE, ARSVD], 11)
    for results, unit, patients in ((unknown, "images", None), (known, "patients", 11)):
        comparison = Comparison(results)
        summary = summarize(comparison, {})
        assert (summary["intervals_over"], summary["test_patients"]) == (unit, patients)
        rows = list(csv.DictReader(io.StringIO(results_table(comparison))))
        assert {(row["intervals_over"], row["test_patients"]) for row in rows} == {(unit, str(patients or ""))}


@pytest.mark.parametrize(("noun", "nouns"), [("volume", "volumes"), ("series", "series")])
def test_files_call_volumes_and_series_what_they_are(noun: str, nouns: str) -> None:
    comparison = Comparison(of_patients([BASELINE, ARSVD], 11, noun))
    summary = summarize(comparison, {})
    assert (summary["intervals_over"], summary[f"test_{nouns}"], "test_patients" in summary) == (nouns, 11, False)
    rows = list(csv.DictReader(io.StringIO(results_table(comparison))))
    assert {(row["intervals_over"], row[f"test_{nouns}"]) for row in rows} == {(nouns, "11")}


def test_dice_a_patient_is_in_every_file_where_patients_are_known() -> None:
    known = of_patients([BASELINE, ARSVD], 11)
    comparison, dice = Comparison(known), known[1].metrics["dice_patient"]
    assert summarize(comparison, {})["arsvd_variants"][0]["metrics"]["dice_patient"] == dice
    numbers = run_metrics(known[1], comparison)
    assert numbers["dice_patient"] == dice
    assert numbers["ci95/dice_patient_low"] < dice < numbers["ci95/dice_patient_high"]
    assert {"dice_patient", "change_dice_patient"} <= set(next(csv.DictReader(io.StringIO(results_table(comparison)))))
    unknown = Comparison([BASELINE, ARSVD])
    assert not [name for name in run_metrics(ARSVD, unknown) if "patient" in name]


def test_every_image_stands_beside_its_patient() -> None:
    rows = list(csv.DictReader(io.StringIO(per_image_table(Comparison(of_patients([BASELINE], 5)), {}))))
    assert [row["group"] for row in rows if row["split"] == "test"] == [f"p{row % 5}" for row in range(12)]
    assert [row["group"] for row in rows if row["split"] == "valid"] == [f"p{row % 5}" for row in range(12)]
    assert "group" not in per_image_table(Comparison([BASELINE]), {}).splitlines()[0]


def test_the_baseline_says_what_share_of_it_can_be_factorised() -> None:
    shares = ParameterShares(0.9, {"attention (nn.MultiheadAttention)": 0.08, "normalisation": 0.02})
    summary = summarize(Comparison([dataclasses.replace(BASELINE, factorizable=shares), ARSVD]), {})
    assert summary["baseline"]["factorizable"] == {
        "factorizable": 0.9,
        "others": {"attention (nn.MultiheadAttention)": 0.08, "normalisation": 0.02},
    }
    assert "factorizable" not in summary["arsvd_variants"][0]
    assert "factorizable" not in summarize(Comparison([BASELINE]), {})["baseline"], "of an earlier version"
