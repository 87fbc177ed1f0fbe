"""Allocation over layers made by hand, in which the best choices are known."""

import pytest
import torch

from torch_lowrank.ranks.allocation import allocate_globally
from torch_lowrank.ranks.joint_allocation import allocate_jointly
from torch_lowrank.ranks.options import Candidate, Choice, Option


def layer(name, energies, dense, **costs):
    """A layer whose error falls by one of `energies` with each rank; `costs` are those of a rank in each scheme."""
    values = torch.tensor(energies, dtype=torch.float64).sqrt()
    options = (Option(scheme, values, cost, dense, absolute=True) for scheme, cost in costs.items())
    return Candidate(name, dense, tuple(options))


def test_the_rest_goes_where_the_error_falls_most_for_the_cost():
    """Rank 1 of both layers takes 40 of 80. For 40 more, rank 2 of both takes 3 + 4 off the error.

    Ranks 2 and 3 of one alone would take 3 + 3 off, or 4 + 1. To be dense pays more for its cost than any rank, so no
    rank is a corner of a hull, and does not fit: all of the 40 is what the hulls leave.
    """
    layers = [layer("a", [3] * 6, 100, channel=20), layer("b", [4, 4] + [1] * 14, 100, channel=20)]
    for each, second in zip(layers, (3, 4), strict=True):
        assert each.error(Choice("channel", 1)) / 80 > second / 20
    assert allocate_globally(layers, 80) == {"a": Choice("channel", 2), "b": Choice("channel", 2)}


@pytest.mark.parametrize(("full_rank", "rank"), [(30, 30), (50, 40)])
def test_what_blends_of_two_budgets_leave_is_spent(full_rank, rank):
    """Of 120 and 120, rank 1 of `a` takes 80 of one or of the other, which leaves `b` 40.

    To an even blend it is 50 either way, which leaves `b` 70; only a blend that is held to much less finds choices that
    meet both, with less than 40.
    """
    first = [layer("a", [1] * 4, 1000, channel=20, spatial=80), layer("b", [1] * full_rank, 100, channel=1)]
    second = [layer("a", [1] * 4, 1000, channel=80, spatial=20), layer("b", [1] * full_rank, 100, channel=1)]
    choices = allocate_jointly((first, second), (120, 120))
    assert choices is not None
    assert choices["a"].rank == 1
    assert choices["b"] == Choice("channel", rank)


def test_two_budgets_are_met_to_the_last_unit():
    budget = 2**40  # as many as the units of a blend, so `b` costs one
    layers = [layer("a", [1, 1], 4 * budget, channel=budget - 1), layer("b", [1, 1], 3, channel=1)]
    ones = {"a": Choice("channel", 1), "b": Choice("channel", 1)}
    assert allocate_jointly((layers, layers), (budget, budget)) == ones
    assert allocate_jointly((layers, layers), (budget - 1, budget)) is None


def test_a_rank_that_costs_less_than_a_unit_of_a_blend_is_counted_as_one():
    budget = 5 * 2**40
    layers = [layer("a", [1, 1], budget, channel=budget // 3), layer("b", [1, 1], 10, channel=1)]
    choices = allocate_jointly((layers, layers), (budget - 1, budget - 1))
    assert choices is not None
    assert choices["a"] == Choice("channel", 2)
    assert layers[1].error(choices["b"]) == 0
