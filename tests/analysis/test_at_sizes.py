"""Which network is taken at a size, of all widths and methods."""

import dataclasses

import pytest

from analysis.comparison import Comparison
from analysis.conclusions import answer, methods_answer, sizes_answer
from models.evaluation.results import EvaluationResult
from tests.comparisons import in_bits, make_result, means, of_training

BASELINE = make_result("baseline", None, 0.80, 800_000)


def narrow(result: EvaluationResult, filters: int = 8) -> EvaluationResult:
    return of_training(result, filters)


WIDTHS = [
    BASELINE,
    make_result("budget", 0.5, 0.79, 400_000),
    make_result("budget", 0.25, 0.76, 200_000),
    make_result("svd", 4, 0.3, 100_000),  # useless
    narrow(make_result("baseline", None, 0.77, 200_000)),
    narrow(make_result("budget", 0.5, 0.75, 100_000)),
    narrow(make_result("budget", 0.25, 0.45, 50_000)),
]


def taken(results: list[EvaluationResult]) -> list[tuple[float, str]]:
    return [(line.limit, line.result.name) for line in Comparison(results).at_sizes]


def test_the_best_of_all_widths_and_methods_is_taken_at_each_size() -> None:
    expected = [
        (0.5, "budget_0.5"),
        (0.25, "filters_8"),
        (0.125, "filters_8_budget_0.5"),
        (0.0625, "filters_8_budget_0.25"),
    ]
    assert taken(WIDTHS) == expected, "and nothing below, where nothing useful is as small"


def test_a_network_that_was_taught_is_taken_where_it_is_better_and_called_so() -> None:
    dense = narrow(make_result("baseline", None, 0.785, 200_000))
    taught = dataclasses.replace(dense, spec=dataclasses.replace(dense.spec, distilled=0.5))
    comparison = Comparison([*WIDTHS, taught])
    line = comparison.at_sizes[1]
    assert (line.result.name, line.width, line.way) == ("filters_8_distilled", "8 filters, distilled", "as trained")
    assert (line.to_dict()["filters"], line.to_dict()["distilled"]) == (8, 0.5)
    assert "filters_8_distilled (8 filters, distilled, as trained; Dice 0.785)" in sizes_answer(comparison)
    names = [result.name for result in comparison.results]
    assert names.index("filters_8") < names.index("filters_8_distilled")


def test_it_is_taken_by_the_validation_images() -> None:
    better = dataclasses.replace(WIDTHS[2], valid=means(0.78))
    assert taken([*WIDTHS[:2], better, *WIDTHS[3:]])[1] == (0.25, "budget_0.25")


def test_a_smaller_network_stands_at_a_larger_size_where_it_is_better() -> None:
    worse = dataclasses.replace(WIDTHS[1], valid=means(0.5))
    (line, *_) = Comparison([BASELINE, worse, *WIDTHS[2:]]).at_sizes
    assert (line.limit, line.result.name, line.share) == (0.5, "filters_8", pytest.approx(0.25))


def test_the_answer_names_width_and_method_at_each_size() -> None:
    said = sizes_answer(Comparison(WIDTHS))
    assert said.startswith("What to take at a size, as a share of the baseline's parameters: at most 50 %, budget_0.5 ")
    assert "at most 25 %, filters_8 (8 filters, as trained; Dice 0.770)" in said
    assert "at most 12.5 %, filters_8_budget_0.5 (8 filters, budget; Dice 0.750)" in said
    few = sizes_answer(Comparison([BASELINE, *WIDTHS[4:6]]))
    assert "at most 50 and 25 %, filters_8 (8 filters, as trained; Dice 0.770); at most 12.5 %" in few
    assert sizes_answer(Comparison(WIDTHS[:4])) == "", "of one width there is nothing new to say"


def test_sizes_are_those_of_files_where_some_are_in_few_bits() -> None:
    twin = in_bits(WIDTHS[1], 8)
    assert taken([*WIDTHS, twin])[1:3] == [(0.25, "budget_0.5_w8"), (0.125, "budget_0.5_w8")]
    assert "the baseline's bytes" in sizes_answer(Comparison([*WIDTHS, twin]))


def test_of_several_seeds_the_mean_decides() -> None:
    others = [
        of_training(make_result("budget", 0.25, 0.80, 200_000), seed=2),
        of_training(make_result("baseline", None, 0.70, 200_000), 8, 2),
        of_training(make_result("baseline", None, 0.80, 800_000), seed=2),
    ]
    line = Comparison([*WIDTHS, *others]).at_sizes[1]
    assert (line.result.name, line.dice) == ("budget_0.25", pytest.approx(0.78))


def test_of_several_seeds_the_largest_counts() -> None:
    """The smallest within a loss may be small in one training and whole in another."""
    other = of_training(make_result("budget", 0.25, 0.80, 400_000), seed=2)
    lines = {line.limit: line for line in Comparison([*WIDTHS, other]).at_sizes}
    assert lines[0.25].result.name == "filters_8"
    assert (lines[0.5].result.name, lines[0.5].share) == ("budget_0.5", pytest.approx(0.5))


def test_that_each_width_was_trained_once_is_said() -> None:
    assert sizes_answer(Comparison(WIDTHS)).endswith("another training would change.")
    seeds = [of_training(make_result("baseline", None, 0.79, 800_000), seed=2), *WIDTHS]
    assert sizes_answer(Comparison(seeds)).endswith("Chosen on valid; Dice is the mean over trainings.")


def test_a_width_that_finds_too_little_is_named_with_what_to_do() -> None:
    failed = narrow(make_result("baseline", None, 0.07, 13_000), 2)
    assert answer(Comparison([*WIDTHS, failed])).startswith(
        "Too little is found to be compressed by filters_2 (Dice 0.070)"
    )
    assert "Too little" not in answer(Comparison(WIDTHS))


def test_methods_at_equal_size_are_said_to_be_of_one_width() -> None:
    results = [*WIDTHS, make_result("svd", 4, 0.78, 200_000)]
    results[-1] = dataclasses.replace(results[-1], spec=dataclasses.replace(results[-1].spec, budget=0.25))
    assert methods_answer(Comparison(results)).endswith("That is said of the baseline's width alone.")
    assert "width" not in methods_answer(Comparison([*results[:4], results[-1]]))
