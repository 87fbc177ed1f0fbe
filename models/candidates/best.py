"""The best of several networks of one size, or the first that is good enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

Candidate = TypeVar("Candidate")


def best_of(
    candidates: Iterable[Candidate], judge: Callable[[Candidate], float], *, enough: float, margin: float
) -> Candidate:
    """Returns the candidate that is judged best; a later one counts only if it is better by more than a margin.

    Candidates are made one after the other; none is made after one that is good enough.

    Args:
        candidates: At least one; the first is returned where none can be judged.
        judge: The larger, the better; FloatingPointError or NaN where a candidate gives no finite numbers.
        enough: A judgement with which the search ends.
        margin: By how much more a candidate must be judged better than an earlier one to take its place.

    Raises:
        ValueError: There are no candidates.
    """
    best: list[Candidate] = []
    highest = -math.inf
    for candidate in candidates:
        try:
            judged = judge(candidate)
        except FloatingPointError:
            judged = math.nan
        if not best or judged > highest + margin:  # false for nan
            best, highest = [candidate], -math.inf if math.isnan(judged) else judged
        if highest >= enough:
            break
    if not best:
        raise ValueError("there are no candidates to choose from; give at least one")
    return best[0]


def first_of(candidates: Iterable[Candidate], is_good: Callable[[Candidate], bool]) -> Candidate | None:
    """Returns the first candidate that is good enough, None where none is; none is made after it.

    Args:
        candidates: Any number.
        is_good: The judgement; FloatingPointError where a candidate gives no finite numbers, which is not good.
    """
    for candidate in candidates:
        try:
            if is_good(candidate):
                return candidate
        except FloatingPointError:
            continue
    return None
