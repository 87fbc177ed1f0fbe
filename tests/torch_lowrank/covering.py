"""A few combinations in which every two choices meet, in the place of a full product."""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator

import pytest

Case = dict[str, object]


def pairs_of(case: Case) -> set[tuple]:
    """Every two of its choices."""
    return set(itertools.combinations(sorted((name, repr(value)) for name, value in case.items()), 2))


def covering(cases: Iterable[Case], accepted: Callable[[Case], object]) -> Iterator[Case]:
    """Yields accepted cases until every two choices that an accepted case has together have been seen together."""
    shuffled, seen = list(cases), set()
    random.Random(0).shuffle(shuffled)
    for case in shuffled:
        if not pairs_of(case) <= seen and accepted(case):
            seen |= pairs_of(case)
            yield case


def every(cases: Iterable[Case], accepted: Callable[[Case], object]) -> Iterator[Case]:
    """Yields all accepted cases."""
    return filter(accepted, cases)


# `make test` takes the covering set, `make test-slow` the full product.
chosen = pytest.mark.parametrize("choose", [covering, pytest.param(every, marks=pytest.mark.slow)])
