"""Methods at the same budget."""

import csv
import dataclasses
import io

import pytest
from rich.console import Console

from analysis.comparison import Comparison
from analysis.conclusions import describe, methods_answer
from analysis.equal_size import PAIRS, equal_sizes, gain_text, methods_in, verdict
from analysis.ranking import in_order
from models.evaluation.results import EvaluationResult
from models.variant_spec import ESTIMATES, VariantSpec
from reporting.console import print_equal_sizes
from reporting.plots.series import long_label
from reporting.summary import results_table, run_metrics
from tests.comparisons import images, make_result, means, of_patients


def at_budget(method: str, budget: float, dice: list[float]) -> EvaluationResult:
    made = make_result(method, 1, sum(dice) / len(dice), 1000)
    spec = VariantSpec(method, budget=budget)
    return dataclasses.replace(made, spec=spec, per_image=images(dice))


@pytest.fixture
def results() -> list[EvaluationResult]:
    better, worse = [0.9, 0.8, 0.7, 0.9, 0.8] * 2, [0.5, 0.4, 0.4, 0.5, 0.3] * 2
    return [
        make_result("baseline", None, 0.9, 4000),
        make_result("svd", 16, 0.8, 2000),
        at_budget("svd", 0.25, worse),
        at_budget("arsvd", 0.25, better),
        at_budget("budget", 0.25, better),
        at_budget("budget", 0.5, better),
    ]


def test_only_budgets_that_several_methods_have_are_compared(results: list[EvaluationResult]) -> None:
    (line,) = equal_sizes(results)
    assert (line.budget, set(line.variants)) == (0.25, {"svd", "arsvd", "budget"})


def test_a_gain_is_the_mean_of_the_differences_over_the_same_images(results: list[EvaluationResult]) -> None:
    (line,) = equal_sizes(results)
    assert line.dice_gains["budget", "svd"].mean == pytest.approx(0.4)
    assert line.dice_gains["budget", "svd"].excludes_zero
    assert gain_text(line.dice_gains["budget", "svd"]).endswith("*")
    assert not line.dice_gains["budget", "arsvd"].excludes_zero


def test_the_table_fits_80_columns(results: list[EvaluationResult]) -> None:
    console = Console(file=io.StringIO(), width=80)
    print_equal_sizes(Comparison(results), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "25 %" in text
    for pair in ("arsvd - svd", "budget - svd", "budget - arsvd"):
        assert pair in text
    assert "…" not in text


def test_nothing_is_printed_without_budgets() -> None:
    console = Console(file=io.StringIO())
    print_equal_sizes(Comparison([make_result("svd", 16, 0.8, 2000)]), console)
    assert not console.file.getvalue()  # type: ignore[attr-defined]


def test_it_says_whether_arsvd_is_better_than_svd(results: list[EvaluationResult]) -> None:
    at_half = [at_budget("svd", 0.5, [0.9, 0.8, 0.7, 0.9, 0.8] * 2), at_budget("arsvd", 0.5, [0.1] * 10)]
    lines = equal_sizes([*results, *at_half])
    assert verdict(lines, "arsvd", "svd") == (
        "At equal size, ARSVD is better than SVD at 25 % of the parameters; "
        "ARSVD is worse than SVD at 50 % of the parameters."
    )
    assert verdict(lines, "budget", "arsvd").startswith("At equal size, budget is better than ARSVD at 50 %")
    assert verdict(lines, "budget", "arsvd").endswith(
        "no difference of budget and ARSVD is found at 25 % of the parameters."
    )
    strict = [dataclasses.replace(results[0], metrics=means(1.7)), *results[1:], *at_half]
    assert verdict(equal_sizes(strict), "arsvd", "svd") == (
        "At equal size, ARSVD and SVD are both useless at 50 % and 25 % of the parameters."
    )
    assert "ARSVD is better than SVD at 25 %" in methods_answer(Comparison(results))


def test_of_few_images_no_method_is_better_and_none_equal(results: list[EvaluationResult]) -> None:
    few = [at_budget("svd", 0.25, [0.5] * 9), at_budget("arsvd", 0.25, [0.9] * 9)]
    assert verdict(equal_sizes([results[0], *few]), "arsvd", "svd") == (
        "At equal size, the images are too few to judge ARSVD against SVD at 25 % of the parameters."
    )
    assert gain_text(equal_sizes(few)[0].dice_gains["arsvd", "svd"]) == "+0.400 (too few to judge)"
    console = Console(file=io.StringIO(), width=80)
    print_equal_sizes(Comparison(few), console)
    assert "too few to judge" in console.file.getvalue()  # type: ignore[attr-defined]


def test_other_rules_are_compared_with_arsvd_and_with_global_allocation(results: list[EvaluationResult]) -> None:
    worse = [0.5, 0.4, 0.4, 0.5, 0.3] * 2
    lines = equal_sizes([*results, at_budget("evbmf", 0.25, worse), at_budget("energy", 0.5, worse)])
    at_half, at_quarter = lines
    assert {*at_half.dice_gains} == {("budget", "energy")}
    assert {*at_quarter.dice_gains} >= {("budget", "evbmf"), ("arsvd", "evbmf"), ("arsvd", "svd")}
    assert at_quarter.dice_gains["arsvd", "evbmf"].mean == pytest.approx(0.4)
    assert methods_in(lines) == ["svd", "arsvd", "energy", "evbmf", "budget"]
    assert verdict(lines, "budget", "evbmf") == "At equal size, budget is better than EVBMF at 25 % of the parameters."
    assert verdict(lines, "budget", "evbmf") in methods_answer(Comparison([*results, at_budget("evbmf", 0.25, worse)]))


def test_the_table_of_many_rules_shows_what_fits_and_names_the_rest(results: list[EvaluationResult]) -> None:
    rules = [at_budget(rule, 0.25, [0.5] * 10) for rule in ESTIMATES]
    for width, shown in ((80, 3), (1000, 11)):
        console = Console(file=io.StringIO(), width=width)
        print_equal_sizes(Comparison([*results, *rules]), console)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        table, _, rest = text.partition("more columns")
        assert sum(table.count(f"{method} - {other}") for method, other in PAIRS) == shown
        assert ("arsvd - stable_rank" in " ".join(rest.split())) == (shown < 11)


def test_without_budgets_it_says_how_to_get_them() -> None:
    assert verdict([], "arsvd", "svd") == ""
    plain = [make_result("baseline", None, 0.8, 4000), make_result("svd", 16, 0.8, 2000)]
    assert "--budgets" in methods_answer(Comparison(plain))
    assert methods_answer(Comparison(plain[:1])) == ""


def test_the_summary_names_both_methods_of_a_difference(results: list[EvaluationResult]) -> None:
    (line,) = (line.to_dict() for line in equal_sizes(results))
    pairs = [("arsvd", "svd"), ("budget", "svd"), ("budget", "arsvd")]
    assert [(gain["metric"], gain["method"], gain["over"]) for gain in line["gains"]] == [
        (name, *pair) for name in ("dice_lesion", "iou_lesion", "dice", "iou") for pair in pairs
    ]
    assert line["gains"][0]["low"] <= line["gains"][0]["mean"] <= line["gains"][0]["high"]


def test_a_variant_carries_its_differences_to_other_methods(results: list[EvaluationResult]) -> None:
    comparison = Comparison(results)
    ours = next(result for result in results if result.name == "budget_0.25")
    numbers = run_metrics(ours, comparison)
    assert numbers["equal_size/dice_over_svd"] == pytest.approx(0.4)
    assert numbers["equal_size/iou_over_svd_low"] <= 0.4 <= numbers["equal_size/iou_over_svd_high"]
    assert not any("equal_size" in name for name in run_metrics(results[1], comparison)), "a rank has no budget"
    assert "equal_size_dice_over_arsvd" in results_table(comparison).splitlines()[0]


def test_a_variant_that_saves_work_as_well_is_no_match_for_those_that_need_not(
    results: list[EvaluationResult],
) -> None:
    ours = next(result for result in results if result.name == "budget_0.25")
    fast = dataclasses.replace(ours, spec=dataclasses.replace(ours.spec, mac_budget=0.2), per_image=images([0.0] * 10))
    assert fast.name == "budget_0.25_macs_0.2"
    assert equal_sizes([*results, fast]) == equal_sizes(results)
    comparison = Comparison([*results, fast])
    assert long_label(fast) == "budget 25 %, MACs 20 %"
    assert "multiply-accumulates" in describe(comparison, fast)
    assert "multiply-accumulates" not in describe(comparison, ours)
    numbers, others = run_metrics(fast, comparison), run_metrics(ours, comparison)
    assert others["equal_size/dice_over_svd"] == pytest.approx(0.4), "what would be wrong of the other"
    assert not any("equal_size" in name for name in numbers)
    row = next(row for row in csv.DictReader(io.StringIO(results_table(comparison))) if row["variant"] == fast.name)
    assert {row[name] for name in row if name.startswith("equal_size")} == {""}
    assert [result.name for result in in_order([fast, *results])][-2:] == ["budget_0.25", "budget_0.25_macs_0.2"]


def test_gains_are_over_patients_where_these_are_known(results: list[EvaluationResult]) -> None:
    (line,) = equal_sizes(of_patients(results, 5))
    gain = line.dice_gains["budget", "svd"]
    assert (gain.images, gain.patients) == (10, 5)
    assert line.gains["dice_patient"]["budget", "svd"].mean == pytest.approx(0.4)
    assert "the patients are too few to judge budget against SVD at 25 %" in verdict([line], "budget", "svd")
    assert {gain["patients"] for gain in line.to_dict()["gains"]} == {5}
