"""The files that programs read."""

import csv
import io
import json

import pytest

from analysis.comparison import Comparison
from reporting.summary import results_table, run_metrics, summarize, to_json
from tests.comparisons import make_result, recovered

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
