"""Two budgets at once: both are kept, nearly all of them is used, and no other choice of ranks is much better."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from models.candidates import Choice
from models.compression import compress
from models.costs import mac_costs, parameter_costs
from models.lowrank import count_parameters
from models.planning import _Task, plan
from models.profile import macs
from models.ranks import BudgetError, JointBudget, MacBudget, ParameterBudget
from models.spectra import decompose
from models.unet import UNet

SHAPE = (1, 32, 32)


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    network = UNet(1, 1, 16).eval()
    return network, decompose(network, "auto")


def shares(before, after):
    """The share of parameters and of multiply-accumulates that is left."""
    return count_parameters(after) / count_parameters(before), macs(after, SHAPE) / macs(before, SHAPE)


@pytest.mark.parametrize("parameters", [0.5, 0.25, 0.1])
@pytest.mark.parametrize("multiplications", [0.5, 0.25, 0.15])
def test_both_budgets_are_kept_and_one_of_them_is_used(unet, parameters, multiplications):
    network, spectra = unet
    smaller = compress(network, spectra, JointBudget(parameters, multiplications, SHAPE)).network
    used = shares(network, smaller)
    assert used[0] <= parameters
    assert used[1] <= multiplications
    assert max(used[0] / parameters, used[1] / multiplications) > 0.98


def test_where_both_bind_both_are_used(unet):
    network, spectra = unet
    alone = shares(network, compress(network, spectra, ParameterBudget(0.2)).network)
    used = shares(network, compress(network, spectra, JointBudget(0.2, alone[1] * 0.8, SHAPE)).network)
    assert used[0] > 0.2 * 0.97
    assert used[1] > alone[1] * 0.8 * 0.97


def test_a_budget_that_does_not_bind_changes_nothing(unet):
    network, spectra = unet
    assert plan(network, spectra, JointBudget(0.2, 1, SHAPE)) == plan(network, spectra, ParameterBudget(0.2))
    assert plan(network, spectra, JointBudget(1, 0.2, SHAPE)) == plan(network, spectra, MacBudget(0.2, SHAPE))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("budgets", [(0.6, 0.4), (0.4, 0.5), (0.5, 0.5)])
def test_no_other_choice_is_much_better(seed, budgets):
    """Of three layers all choices can be tried; what rounding to whole ranks may cost shows most in so few."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 6, 3, stride=2, padding=1), nn.Conv2d(6, 12, 3, padding=1)]
    network = nn.Sequential(*layers)
    spectra, shape = decompose(network, "channel"), (3, 12, 12)
    tasks = [
        _Task(spectra, costs, {}, {})
        for costs in (
            parameter_costs(network, spectra),
            mac_costs(network, {name: ["channel"] for name in spectra.layers}, shape),
        )
    ]
    limits = [share * task.costs.total for share, task in zip(budgets, tasks, strict=True)]

    def error(choices):
        return sum(candidate.error(choices[candidate.name]) for candidate in tasks[0].open)

    options = [
        [Choice(None, 0), *(Choice("channel", rank) for rank in range(1, candidate.options[0].largest_rank + 1))]
        for candidate in tasks[0].open
    ]
    names = [candidate.name for candidate in tasks[0].open]
    every = (dict(zip(names, each, strict=True)) for each in itertools.product(*options))
    fitting = (c for c in every if all(t.spent(c) <= limit for t, limit in zip(tasks, limits, strict=True)))
    best = min(map(error, fitting))
    found = plan(network, spectra, JointBudget(*budgets, shape))
    assert all(task.spent(found) <= limit for task, limit in zip(tasks, limits, strict=True))
    assert best - 1e-12 <= error(found) <= best * 1.15 + 1e-12


def test_excluded_and_pinned_layers_count_in_both(unet):
    network, spectra = unet
    settings = {"exclude": ["inc.*"], "pin": {"down4.*": 3}}
    result = compress(network, spectra, JointBudget(0.3, 0.4, SHAPE), **settings)
    used = shares(network, result.network)
    assert used[0] <= 0.3
    assert used[1] <= 0.4
    ranks = {layer.name: layer.rank for layer in result.layers}
    assert ranks["inc.double_conv.0"] is None
    assert ranks["down4.maxpool_conv.1.double_conv.0"] == 3


def test_budgets_that_exclude_each_other_are_an_error():
    """Strided: the spatial scheme has fewer parameters and more multiply-accumulates than the channel scheme."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(64, 8, 3, stride=4, padding=1, bias=False))
    spectra, shape = decompose(network, "auto"), (64, 32, 32)
    small, fast = 0.1, 0.15
    assert count_parameters(compress(network, spectra, ParameterBudget(small)).network) <= small * 4608
    compress(network, spectra, MacBudget(fast, shape))
    with pytest.raises(BudgetError, match="though each of the two by itself can") as error:
        plan(network, spectra, JointBudget(small, fast, shape))
    assert error.value.smallest is None


@pytest.mark.parametrize(("small", "fast"), [(0.0001, 0.5), (0.5, 0.0001)])
def test_a_budget_that_no_rank_meets_is_an_error(unet, small, fast):
    with pytest.raises(BudgetError, match="the smallest reachable is"):
        plan(*unet, JointBudget(small, fast, SHAPE))


@pytest.mark.parametrize("arguments", [(0, 0.5), (0.5, 1.5), (float("nan"), 0.5), (0.5, float("nan"))])
def test_shares_lie_between_0_and_1(arguments):
    with pytest.raises(ValueError, match="must lie in"):
        JointBudget(*arguments, SHAPE)


def test_the_shape_may_be_a_list_and_must_be_one():
    assert hash(JointBudget(0.5, 0.5, [1, 32, 32])) == hash(JointBudget(0.5, 0.5, SHAPE))
    with pytest.raises(ValueError, match="give the shape of one input"):
        JointBudget(0.5, 0.5, ())
