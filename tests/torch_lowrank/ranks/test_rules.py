import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.ranks.budgets import BudgetError, ParameterBudget
from torch_lowrank.ranks.options import Candidate, Choice, Option
from torch_lowrank.ranks.rules import Energy, Entropy, FixedRank, LayerRule, Parameter, RankRatio

FLAT = [1.0, 1, 1, 1]
HALVES = [math.sqrt(8), 2, math.sqrt(2), math.sqrt(2)]  # p = 1/2, 1/4, 1/8, 1/8
SPECTRA = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30).map(
    lambda values: torch.tensor(sorted(values, reverse=True), dtype=torch.float64)
)
SHARES = st.floats(1e-6, 1)


@pytest.mark.parametrize(
    ("rule", "values", "rank"),
    [
        (FixedRank(2), FLAT, 2),
        (FixedRank(9), FLAT, 4),
        (RankRatio(0.5), FLAT, 2),
        (RankRatio(0.51), FLAT, 3),
        (RankRatio(0.01), FLAT, 1),
        (RankRatio(1.0), FLAT, 4),
        (RankRatio(0.3), [1.0] * 10, 3),  # 0.3 * 10 is 3.0000000000000004 or not: it must not become 4
        (Energy(0.5), FLAT, 2),
        (Energy(0.5001), FLAT, 3),
        (Energy(0.5), HALVES, 1),
        (Energy(0.75), HALVES, 2),
        (Energy(0.76), HALVES, 3),
        (Energy(1.0), HALVES, 4),
        # h = 1/2, 1/2, 3/8, 3/8 bits, together 1.75
        (Entropy(0.5 / 1.75), HALVES, 1),
        (Entropy(0.5 / 1.75 + 0.01), HALVES, 2),
        (Entropy(1.0 / 1.75), HALVES, 2),
        (Entropy(1.0), HALVES, 4),
        (Entropy(0.5), FLAT, 2),
        (Entropy(0.9), FLAT, 4),
        # p = s / sum s = 1/2, 1/4, 1/4: h = 1/2, 1/2, 1/2
        (Entropy(0.6, "sigma"), [2.0, 1, 1], 2),
        (Entropy(0.67, "sigma"), [2.0, 1, 1], 3),
        # p = 2/3, 1/6, 1/6: h = 0.270, 0.299, 0.299, together 0.868
        (Entropy(0.3, "energy"), [2.0, 1, 1], 1),
        (Entropy(0.32, "energy"), [2.0, 1, 1], 2),
    ],
)
def test_ranks_by_hand(rule, values, rank):
    assert rule.rank(torch.tensor(values, dtype=torch.float64)) == rank


@pytest.mark.parametrize("rule", [FixedRank(1), RankRatio(0.2), Energy(0.9), Entropy(0.9), Entropy(1.0, "sigma")])
@pytest.mark.parametrize("values", [[0.0] * 5, [3.0, 0, 0, 0, 0], [1e-300, 0, 0, 0, 0], [2.0]])
def test_weights_of_rank_zero_and_one_get_rank_one(rule, values):
    assert rule.rank(torch.tensor(values, dtype=torch.float64)) == 1


@pytest.mark.parametrize("rule", [Energy(1.0), Entropy(0.95), Entropy(0.95, "sigma")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_layer_of_rank_one_gets_rank_one(rule, dtype):
    layer = nn.Conv2d(16, 16, 3, dtype=dtype)
    layer.weight.data = torch.einsum("o,ihw->oihw", torch.randn(16), torch.randn(16, 3, 3)).to(dtype)
    report = compress(layer, rule, spectra=decompose(layer)).layers[0]
    assert report.rank == 1
    assert report.error < 1e-6
    layer.weight.data.zero_()
    report = compress(layer, rule, spectra=decompose(layer)).layers[0]
    assert (report.rank, report.error) == (1, 0.0)


@given(SPECTRA, SHARES, SHARES, st.sampled_from([RankRatio, Energy, Entropy]))
def test_rank_grows_with_the_parameter(values, one, other, kind):
    low, high = sorted((one, other))
    assert 1 <= kind(low).rank(values) <= kind(high).rank(values) <= len(values)


@given(SPECTRA, SHARES, st.sampled_from([Energy, Entropy, lambda tau: Entropy(tau, "sigma"), RankRatio]))
def test_scale_changes_no_rank(values, share, make):
    rule = make(share)
    assert len({rule.rank(values * 2.0**power) for power in (-900, -10, 0, 3, 900)}) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([0.3, 0.77, 0.9]), st.floats(1e-3, 1e3))
def test_scaling_a_weight_changes_no_rank(seed, share, scale):
    torch.manual_seed(seed)
    layer = nn.Conv2d(6, 12, 3, dtype=torch.float64)
    spectra = decompose(layer)
    layer.weight.data *= scale
    scaled = decompose(layer)
    for rule in (Energy(share), Entropy(share), Entropy(share, "sigma"), RankRatio(share)):
        assert rule.rank(spectra.layers[""].singular_values) == rule.rank(scaled.layers[""].singular_values)


@given(SPECTRA, SHARES)
def test_energy_rank_is_the_smallest_that_keeps_it(values, share):
    rank = Energy(share).rank(values)
    kept = np.cumsum(values.numpy() ** 2) / np.sum(values.numpy() ** 2)
    assert kept[rank - 1] >= share * (1 - 1e-9)
    assert rank == 1 or kept[rank - 2] < share * (1 + 1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedRank(0), "rank is 0"),
        (lambda: FixedRank(True), "rank is True"),
        (lambda: FixedRank(2.5), "rank is 2.5"),
        (lambda: RankRatio(0.0), "ratio is 0.0"),
        (lambda: Energy(1.1), "energy is 1.1"),
        (lambda: Entropy(float("nan")), "tau is nan"),
        (lambda: Entropy(0.9, "both"), "distribution is 'both'"),
        (lambda: ParameterBudget(0.0), "fraction is 0.0"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def option(scheme, values, cost_per_rank, dense_cost=100):
    return Option(scheme, torch.tensor(values, dtype=torch.float64), cost_per_rank, dense_cost)


def test_auto_takes_the_smaller_error_at_equal_cost():
    slow, fast = [1.0, 1, 1, 1, 1], [1.0, 0.1, 0.1, 0.1, 0.1]
    both = Candidate("a", 100, (option("channel", slow, 10), option("spatial", fast, 10)))
    assert FixedRank(2).choose(both) == Choice("spatial", 2)
    # rank 2 of the channel scheme costs 20, for which the spatial scheme has rank 0, and error 1
    dear = Candidate("a", 100, (option("channel", slow, 10), option("spatial", fast, 25)))
    assert FixedRank(2).choose(dear) == Choice("channel", 2)
    # for 20 the spatial scheme has rank 4, and error 1/5 against 3/5
    cheap = Candidate("a", 100, (option("channel", slow, 10), option("spatial", slow, 5)))
    assert FixedRank(2).choose(cheap) == Choice("spatial", 2)


def test_auto_takes_the_only_scheme_that_is_cheaper():
    values = [1.0, 1, 1]
    candidate = Candidate("a", 20, (option("channel", values, 10, 20), option("spatial", values, 6, 20)))
    assert FixedRank(2).choose(candidate) == Choice("spatial", 2)
    assert FixedRank(9).choose(candidate) == Choice("spatial", 3)
    dear = Candidate("a", 20, (option("channel", values, 10, 20), option("spatial", values, 15, 20)))
    assert FixedRank(3).choose(dear).reason == "rank 3 would not make it smaller (up to 1 would)"


@dataclasses.dataclass(frozen=True)
class Largest(LayerRule):
    """All singular values of at least a share of the largest; as in the guide for new rules."""

    drop: float
    parameter = Parameter("drop")

    def rank(self, singular_values):
        return int((singular_values >= (1 - self.drop) * singular_values[0]).sum())


@dataclasses.dataclass(frozen=True)
class Halved(LayerRule):
    """Half of the full rank: nothing to solve."""

    def rank(self, singular_values):
        return len(singular_values) // 2


def test_a_rule_without_a_parameter_works_by_itself_and_in_no_budget():
    network = nn.Sequential(nn.Conv2d(8, 16, 3), nn.Conv2d(16, 16, 3))
    assert [layer.rank for layer in compress(network, Halved(), spectra=decompose(network)).layers] == [8, 8]
    with pytest.raises(ValueError, match=r"Halved\(\) has no parameter that a budget could solve; declare the field"):
        ParameterBudget(0.5, Halved())


TRIED = []


@dataclasses.dataclass(frozen=True)
class InRange(LayerRule):
    """A rank in a declared range, in a field that is not the first."""

    name: str
    value: int
    parameter = Parameter("value", low=2, high=5, whole=True)

    def rank(self, singular_values):
        TRIED.append(self.value)
        return self.value


@pytest.mark.parametrize(("fraction", "ranks"), [(0.1389, {2}), (0.3125, {4, 5})])
def test_a_budget_solves_the_declared_field_within_its_range(fraction, ranks):
    network = nn.Sequential(nn.Conv2d(16, 16, 3, bias=False), nn.Conv2d(16, 16, 3, bias=False))  # 160 a rank, of 2304
    TRIED.clear()
    result = compress(network, ParameterBudget(fraction, InRange("any", 9)), spectra=decompose(network))
    assert {layer.rank for layer in result.layers} == ranks
    assert (min(TRIED), max(TRIED)) == (2, 5)
    assert {type(value) for value in TRIED} == {int}
    with pytest.raises(BudgetError, match=r"smallest reachable is 0\.1389"):
        compress(network, ParameterBudget(0.1, InRange("any", 9)), spectra=decompose(network))


@pytest.mark.parametrize(
    ("bounds", "low", "high"),
    [
        ({}, 1e-12, 1.0),
        ({"low": 0.5}, 0.5, 1.0),
        ({"whole": True}, 1, math.inf),
        ({"whole": True, "low": 2.0}, 2, math.inf),
        ({"whole": True, "low": np.int64(2), "high": 8.0}, 2, 8),
        ({"whole": True, "high": 1}, 1, 1),
    ],
)
def test_the_range_of_a_parameter(bounds, low, high):
    parameter = Parameter("k", **bounds)
    assert (parameter.low, parameter.high) == (low, high)
    assert type(parameter.low) is type(low) and type(parameter.high) is type(high)
    assert dataclasses.replace(parameter, name="other") == Parameter("other", **bounds)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"low": 0.5, "high": 0.4}, r"k goes from 0\.5 to 0\.4"),
        ({"low": float("nan")}, "k goes from nan"),
        ({"high": math.inf}, "k goes from 1e-12 to inf"),
        ({"whole": True, "low": 1.5}, r"a bound of whole numbers is 1\.5"),
        ({"whole": True, "high": float("nan")}, "a bound of whole numbers is nan"),
        ({"whole": True, "high": 0}, "k goes from 1 to 0"),
    ],
)
def test_bounds_that_are_no_range_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        Parameter("k", **bounds)


@dataclasses.dataclass(frozen=True)
class Same(LayerRule):
    """The same rank for all layers, with the bounds that whole numbers have by default."""

    k: int
    parameter = Parameter("k", whole=True)

    def rank(self, singular_values):
        return FixedRank(self.k).rank(singular_values)  # which refuses floats


def test_a_budget_solves_whole_numbers_up_to_the_full_rank():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(16, 16, 3, bias=False), nn.Conv2d(16, 16, 3, bias=False))  # 160 a rank, of 2304
    spectra = decompose(network)
    for budget, wanted in ((0.3473, {5}), (0.6945, {10}), (1.0, {None})):
        for rule in (Same(1), FixedRank(1)):
            result = compress(network, ParameterBudget(budget, rule), spectra=spectra)
            assert {layer.rank for layer in result.layers} == wanted


class NoDataclass(LayerRule):
    parameter = Parameter("k", whole=True)

    def rank(self, singular_values):
        return 1


@dataclasses.dataclass(frozen=True)
class Mistyped(Same):
    parameter = Parameter("kk", whole=True)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (NoDataclass(), "NoDataclass is no dataclass, so no budget can solve it; add @dataclasses"),
        (Mistyped(1), r"the parameter 'kk' of Mistyped is none of its fields \(k\)"),
    ],
)
def test_a_parameter_that_cannot_be_set_is_refused_by_the_budget(rule, message):
    with pytest.raises(ValueError, match=message):
        ParameterBudget(0.5, rule)


def test_a_new_rule_works_by_itself_and_in_a_budget():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 16, 3), nn.Conv2d(16, 16, 3))
    spectra = decompose(network)
    assert [layer.rank for layer in compress(network, Largest(0.2), spectra=spectra).layers] != [None, None]
    result = compress(network, ParameterBudget(0.5, Largest(0.5)), spectra=spectra)
    total = sum(parameter.numel() for parameter in network.parameters())
    assert 0.45 * total < sum(parameter.numel() for parameter in result.network.parameters()) <= 0.5 * total
