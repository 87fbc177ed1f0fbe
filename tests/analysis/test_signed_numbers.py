"""Differences as text."""

import math

import pytest

from analysis.comparison import Comparison
from analysis.conclusions import answer
from analysis.equal_size import gain_text
from analysis.intervals import Interval
from analysis.signed_numbers import signed, signed_ends
from tests.comparisons import make_result


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000"), (-0.0, "0.000"), (-0.0004, "0.000"), (0.0004, "0.000"), (-0.0006, "-0.001"), (0.25, "+0.250")],
)
def test_zero_has_no_sign(value: float, text: str) -> None:
    assert signed(value) == text


@pytest.mark.parametrize(
    ("ends", "texts"),
    [
        ((-0.001, -0.002, -0.0004), ("-0.0010", "-0.0020", "-0.0004")),
        ((0.00005, 0.00001, 0.0001), ("+0.00005", "+0.00001", "+0.00010")),
        ((-0.013, -0.021, -0.005), ("-0.013", "-0.021", "-0.005")),
        ((-0.001, -0.002, 0.0004), ("-0.001", "-0.002", "0.000")),  # holds zero: no digit more
        ((0.0, 0.0, 0.0), ("0.000", "0.000", "0.000")),
        ((-0.001, -0.002, -0.0005), ("-0.001", "-0.002", "-0.001")),
    ],
)
def test_an_interval_that_excludes_zero_is_seen_to(ends: tuple[float, ...], texts: tuple[str, ...]) -> None:
    assert signed_ends(Interval(*ends, 20)) == texts


def test_too_few_images_have_no_ends_and_a_mean() -> None:
    assert signed_ends(Interval(-0.1, math.nan, math.nan, 2))[0] == "-0.100"
    assert gain_text(Interval(-0.0001, math.nan, math.nan, 2)) == "0.000 (too few to judge)"


def test_table_and_answer_say_alike() -> None:
    assert gain_text(Interval(-0.001, -0.002, -0.0004, 20)) == "-0.0010 (-0.0020 to -0.0004) *"
    close = Comparison([make_result("baseline", None, 0.7768, 9000), make_result("svd", 16, 0.77645, 1000)])
    change = close.qualities["svd_rank_16"].change["dice_lesion"]
    mean, low, high = signed_ends(change)
    assert change.excludes_zero
    assert float(high) < 0
    assert f"{mean} (95 % interval {low} to {high}), is more than chance" in answer(close)
