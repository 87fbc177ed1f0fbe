"""The best of several candidates."""

import math
from collections.abc import Iterator

import pytest

from models.candidates.best import best_of, first_of


def test_the_best_is_returned_and_of_equals_the_first() -> None:
    judged = {"a": 0.2, "b": 0.5, "c": 0.5}
    assert best_of(judged, judged.__getitem__, enough=1.0, margin=0.0) == "b"


@pytest.mark.parametrize(("later", "kept"), [(0.509, "first"), (0.511, "later")])
def test_what_cannot_be_told_apart_from_an_earlier_one_does_not_take_its_place(later: float, kept: str) -> None:
    judged = {"first": 0.5, "later": later}
    assert best_of(judged, judged.__getitem__, enough=1.0, margin=0.01) == kept


def test_none_is_made_after_one_that_is_good_enough() -> None:
    made = []

    def candidates() -> Iterator[float]:
        for value in (0.2, 0.6, 0.9):
            made.append(value)
            yield value

    assert best_of(candidates(), float, enough=0.6, margin=0.0) == 0.6
    assert made == [0.2, 0.6]


def test_what_gives_no_finite_numbers_is_chosen_only_where_nothing_does() -> None:
    def judge(value: float) -> float:
        if value < 0:
            raise FloatingPointError
        return value

    assert best_of([-1.0, math.nan, 0.1], judge, enough=1.0, margin=0.0) == 0.1
    assert best_of([0.1, math.nan, -1.0], judge, enough=1.0, margin=0.0) == 0.1
    assert best_of([-1.0, -2.0], judge, enough=1.0, margin=0.0) == -1.0


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="there are no candidates"):
        best_of([], float, enough=1.0, margin=0.0)


def test_the_first_that_is_good_ends_the_search() -> None:
    made = []

    def candidates():
        for each in ("bad", "infinite", "good", "better"):
            made.append(each)
            yield each

    def is_good(candidate: str) -> bool:
        if candidate == "infinite":
            raise FloatingPointError
        return candidate in ("good", "better")

    assert first_of(candidates(), is_good) == "good"
    assert made == ["bad", "infinite", "good"]
    assert first_of(["bad", "infinite"], is_good) is None
