"""The search for the smallest share that is good enough."""

import pytest

from models.smallest import smallest_share_that


@pytest.mark.parametrize("limit", [0.011, 0.05, 0.3, 0.9])
def test_it_finds_the_smallest_share_within_two_percent_by_eight_tries(limit: float) -> None:
    tried: list[float] = []

    def is_good(share: float) -> bool:
        tried.append(share)
        return share >= limit

    found = smallest_share_that(is_good, 0.01)
    assert len(tried) == 8
    assert limit <= found < 1.02 * limit
    assert found in tried


def test_where_nothing_smaller_is_good_it_is_the_whole() -> None:
    assert smallest_share_that(lambda share: False, 0.01) == 1


def test_where_everything_is_good_it_is_about_the_lowest() -> None:
    assert 0.01 < smallest_share_that(lambda share: True, 0.01) < 0.0102


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="lowest is 0"):
        smallest_share_that(lambda share: True, 0)
