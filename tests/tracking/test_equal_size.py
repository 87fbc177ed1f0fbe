"""Methods at the same budget."""

import dataclasses
import io

import pytest
from rich.console import Console

from models.results import EvaluationResult
from tests.tracking.conftest import make_result
from tracking.equal_size import equal_sizes, gain_text
from tracking.table import print_equal_sizes


def at_budget(method: str, budget: float, dice: list[float]) -> EvaluationResult:
    made = make_result(method, budget, sum(dice) / len(dice), 1000)
    return dataclasses.replace(made, setting={"budget": budget}, per_image={"dice": dice})


@pytest.fixture
def results() -> list[EvaluationResult]:
    better, worse = [0.9, 0.8, 0.7, 0.9, 0.8], [0.5, 0.4, 0.4, 0.5, 0.3]
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
    assert (line.budget, set(line.dice)) == (0.25, {"svd", "arsvd", "budget"})


def test_a_gain_is_the_mean_of_the_differences_over_the_same_images(results: list[EvaluationResult]) -> None:
    (line,) = equal_sizes(results)
    assert line.gains["svd"].mean == pytest.approx(0.4)
    assert line.gains["svd"].excludes_zero
    assert gain_text(line.gains["svd"]).endswith("*")
    assert not line.gains["arsvd"].excludes_zero


def test_the_table_fits_80_columns(results: list[EvaluationResult]) -> None:
    console = Console(file=io.StringIO(), width=80)
    print_equal_sizes(results, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "25 %" in text
    assert "over arsvd" in text
    assert "…" not in text


def test_nothing_is_printed_without_budgets() -> None:
    console = Console(file=io.StringIO())
    print_equal_sizes([make_result("svd", 16, 0.8, 2000)], console)
    assert not console.file.getvalue()  # type: ignore[attr-defined]
