"""Networks of a size, and what else fits into their bytes."""

import dataclasses
import io

import pytest
from rich.console import Console

from analysis.comparison import Comparison, joined
from analysis.conclusions import answer
from analysis.equal_bytes import equal_bytes
from analysis.equal_size import equal_sizes
from analysis.ranking import in_order
from models.evaluation.results import EvaluationResult, Latencies
from reporting.console import print_equal_bytes
from tests.comparisons import in_bits, make_latency, make_result, means, of_size


def test_of_each_method_the_best_by_valid_that_fits_is_compared(few_bits: list[EvaluationResult]) -> None:
    tenth, twentieth = equal_bytes(few_bits)
    assert (tenth.result.name, twentieth.result.name) == ("size_0.1", "size_0.05")
    assert {method: other.name for method, other in tenth.others.items()} == {
        "svd": "svd_rank_16_w8",
        "budget": "budget_0.25_w8",
    }
    assert twentieth.others == {}, "a quarter of the bytes of the smallest is more than a twentieth"
    gain = tenth.result.metrics["dice"] - tenth.others["budget"].metrics["dice"]
    assert tenth.gains["budget"].mean == pytest.approx(gain)


def test_a_file_of_exactly_the_size_fits_and_one_byte_more_does_not() -> None:
    full, ours = make_result("baseline", None, 0.8, 1000), of_size(0.5, 0.7)
    at, above = (
        dataclasses.replace(make_result("svd", rank, 0.6, 500), cost=dataclasses.replace(full.cost, size_bytes=size))
        for rank, size in ((1, 2000), (2, 2001))
    )
    (line,) = equal_bytes([full, ours, dataclasses.replace(above, valid=means(0.9)), at])
    assert {method: other.name for method, other in line.others.items()} == {"svd": "svd_rank_1"}


def test_without_a_baseline_or_a_size_there_is_nothing_to_compare(few_bits: list[EvaluationResult]) -> None:
    assert equal_bytes([result for result in few_bits if not result.spec.is_baseline]) == []
    assert equal_bytes([result for result in few_bits if result.spec.size is None]) == []


def test_twins_at_one_budget_have_a_line_of_their_own_which_no_verdict_counts() -> None:
    budgets = [make_result("budget", 0.25, 0.7, 250)]
    budgets.append(
        dataclasses.replace(make_result("svd", 1, 0.6, 250), spec=dataclasses.replace(budgets[0].spec, method="svd"))
    )
    both = [*budgets, *(in_bits(result, 8) for result in budgets), *(in_bits(result, 4) for result in budgets)]
    lines = equal_sizes([make_result("baseline", None, 0.8, 1000), *both])
    assert [line.title for line in lines] == ["25 %", "25 %, 8 bits", "25 %, 4 bits"]
    assert [line.to_dict().get("weight_bits") for line in lines] == [None, 8, 4]


def test_twins_are_read_behind_what_they_were_rounded_from(few_bits: list[EvaluationResult]) -> None:
    names = [result.name for result in in_order(few_bits)]
    assert names[:4] == ["baseline", "baseline_w8", "svd_rank_16", "svd_rank_16_w8"]
    assert names[-2:] == ["size_0.1", "size_0.05"]


def test_the_smallest_file_is_recommended_and_said_in_bytes(few_bits: list[EvaluationResult]) -> None:
    comparison = Comparison(few_bits)
    assert comparison.recommended is not None
    assert comparison.recommended.name == "size_0.05"
    assert "with 5 % of the bytes" in answer(comparison)
    without = Comparison([result for result in few_bits if not result.spec.in_few_bits])
    assert "of the parameters" in answer(without)


def test_a_twin_has_the_time_of_what_it_was_rounded_from(few_bits: list[EvaluationResult]) -> None:
    latency = make_latency(10)
    assert latency is not None
    timed = {result.name: latency for result in few_bits if result.spec.weight_bits is None}
    comparison = joined(few_bits, Latencies(timed), [])
    assert all(result.latency == latency for result in comparison.results)


def test_the_table_fits_80_columns(few_bits: list[EvaluationResult]) -> None:
    console = Console(file=io.StringIO(), width=80)
    print_equal_bytes(Comparison(few_bits), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "size_0.05" in text
    assert "budget_0.25_w8" in text
    assert max(map(len, text.splitlines())) <= 80
