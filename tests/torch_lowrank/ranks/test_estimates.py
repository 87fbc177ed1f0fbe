"""Rules that estimate ranks: by hand, and what holds for any spectrum."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.ranks.budgets import ParameterBudget
from torch_lowrank.ranks.estimates import EffectiveRank, RelativeCut, StableRank
from torch_lowrank.ranks.noise import EVBMF, HardThreshold
from torch_lowrank.ranks.options import Option
from torch_lowrank.ranks.rules import LayerRule

FLAT = [1.0, 1, 1, 1]
HALVES = [math.sqrt(8), 2, math.sqrt(2), math.sqrt(2)]
KINDS = [EffectiveRank, StableRank, lambda scale: RelativeCut(0.1, scale=scale), HardThreshold, EVBMF]
SPECTRA = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30).map(
    lambda values: torch.tensor(sorted(values, reverse=True), dtype=torch.float64)
)

UNHURRIED = settings(deadline=None)  # the search for the noise takes its time on a busy machine


def rank(rule: LayerRule, values: torch.Tensor, columns: int | None = None) -> int:
    """The rank that a layer gets, of a matrix that is square unless its columns are said."""
    shape = (1, len(values), columns or len(values))
    return rule.rank_of(Option("channel", values, 1, 1, shape=shape))


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        (EffectiveRank(), FLAT, 4),  # exp(ln 4)
        (EffectiveRank(scale=0.5), FLAT, 2),
        (EffectiveRank(scale=0.51), FLAT, 3),
        (EffectiveRank(scale=9.0), FLAT, 4),
        (EffectiveRank(), [2.0, 1, 1], 3),  # 2 to the 1.5 bits: 2.83
        (EffectiveRank(scale=0.7), [2.0, 1, 1], 2),  # 1.98
        (EffectiveRank(scale=0.71), [2.0, 1, 1], 3),  # 2.01
        (StableRank(), FLAT, 4),
        (StableRank(), HALVES, 2),  # 16 / 8
        (StableRank(), [2.0, 1, 1], 2),  # 6 / 4
        (StableRank(scale=1.34), [2.0, 1, 1], 3),  # 2.01
        (StableRank(scale=1.33), [2.0, 1, 1], 2),  # 1.995
        (RelativeCut(0.5), HALVES, 4),  # 1, 0.707, 0.5, 0.5
        (RelativeCut(0.51), HALVES, 2),
        (RelativeCut(0.51, scale=1.02), HALVES, 4),
        (RelativeCut(0.71), HALVES, 1),
        (RelativeCut(1.0, scale=0.5), HALVES, 1),
        # omega(1) = 2.858 times the median
        (HardThreshold(), [2.9, 1.0, 0.5], 1),
        (HardThreshold(), [5.0, 2.9, 1.0, 0.5, 0.1], 2),
        (HardThreshold(), [5.0, 2.8, 1.0, 0.5, 0.1], 1),
        (HardThreshold(), [9.0, 5.8, 3.0, 1.0, 0.5, 0.1], 2),  # the median of an even number is 2: up to 5.717
        (HardThreshold(), [9.0, 5.7, 3.0, 1.0, 0.5, 0.1], 1),
        (HardThreshold(scale=2.0), [9.0, 5.8, 3.0, 1.0, 0.5, 0.1], 4),
        # 4 / sqrt(3) times sqrt(4) times the noise: 4.619
        (HardThreshold(noise=1.0), [5.0, 4.7, 4.6, 1.0], 2),
        (HardThreshold(noise=0.5), [5.0, 4.7, 2.4, 2.3], 3),
        (EVBMF(), [9.0, 8.0, 0.1, 0.1, 0.1, 0.1], 2),
        (EVBMF(scale=1.5), [9.0, 8.0, 0.1, 0.1, 0.1, 0.1], 3),
    ],
)
def test_ranks_by_hand(rule, values, expected):
    assert rank(rule, torch.tensor(values, dtype=torch.float64)) == expected


def test_the_threshold_grows_with_the_longer_side():
    values = torch.tensor([5.0, 4.7, 2.0, 1.0], dtype=torch.float64)  # lambda(1 / 4) sqrt(16) = 7.03 times the noise
    assert rank(HardThreshold(noise=0.65), values, 16) == rank(HardThreshold(noise=0.67), values, 16) + 1 == 2
    assert HardThreshold(noise=0.65).rank(values, (4, 16)) == HardThreshold(noise=0.65).rank(values, (16, 4))


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("values", [[0.0] * 5, [3.0, 0, 0, 0, 0], [1e-300, 0, 0, 0, 0], [2.0]])
def test_weights_of_rank_zero_and_one_get_rank_one(make, values):
    assert rank(make(scale=1.0), torch.tensor(values, dtype=torch.float64)) == 1


@UNHURRIED
@given(SPECTRA, st.floats(1e-6, 100), st.floats(1e-6, 100), st.sampled_from(KINDS))
def test_rank_grows_with_the_multiplier(values, one, other, make):
    low, high = sorted((one, other))
    assert 1 <= rank(make(scale=low), values) <= rank(make(scale=high), values) <= len(values)


@UNHURRIED
@given(SPECTRA, st.sampled_from(KINDS), st.integers(1, 3))
def test_scale_of_the_weight_and_numbers_of_groups_change_no_rank(values, make, groups):
    rule, rows = make(scale=1.0), len(values)
    ranks = {rank(rule, values * 2.0**power, 2 * rows) for power in (-900, -10, 0, 3, 900)}
    assert ranks == {rule.rank_of(Option("channel", values, 1, 1, shape=(groups, 2 * rows, rows)))}


@UNHURRIED
@given(SPECTRA, st.sampled_from(KINDS))
def test_numbers_of_single_precision_give_the_same_ranks(values, make):
    single = values.float()
    assert rank(make(scale=0.8), single) == rank(make(scale=0.8), single.double())


@given(SPECTRA)
def test_estimates_lie_between_one_and_the_rank(values):
    stable, effective = StableRank().estimate(values), EffectiveRank().estimate(values)
    assert 1 - 1e-9 <= stable <= len(values) + 1e-9
    assert 1 - 1e-9 <= effective <= len(values) + 1e-9


def test_noise_of_groups_is_that_of_each():
    values = torch.tensor([5.0, 4.7, 4.6, 1.0], dtype=torch.float64)
    for groups in (1, 4, 9):
        option = Option("channel", values * math.sqrt(groups), 1, 1, shape=(groups, 4, 4))
        assert HardThreshold(noise=1.0).rank_of(option) == 2


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_spectra_that_are_not_finite_are_refused(make, bad):
    with pytest.raises(ValueError, match=f"a singular value is {bad}"):
        rank(make(scale=1.0), torch.tensor([bad, 1.0]))


@pytest.mark.parametrize("kind", [EVBMF, HardThreshold])
def test_rules_that_look_at_noise_need_all_of_a_matrix(kind):
    values = torch.tensor([2.0, 1.0])
    with pytest.raises(ValueError, match=rf"{kind.__name__} needs the matrix's shape beside its spectrum; give rank\("):
        kind().rank(values)
    with pytest.raises(ValueError, match=r"was given 2 singular values of a matrix of shape \(5, 4\); give all"):
        kind().rank(values, (5, 4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EVBMF(scale=0), r"scale is 0; it must lie in \(0, 1e\+06\]"),
        (lambda: StableRank(scale=math.nan), "scale is nan"),
        (lambda: RelativeCut(0.5, scale=-1.0), r"scale is -1\.0"),
        (lambda: RelativeCut(1.5), r"cut is 1\.5"),
        (lambda: HardThreshold(0.0), r"noise is 0\.0; give a standard deviation above 0, or None"),
        (lambda: HardThreshold(math.inf), "noise is inf"),
        (lambda: HardThreshold(scale=2e6), "scale is"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kind", [EVBMF, HardThreshold])
def test_the_components_of_a_layer_are_found(kind):
    torch.manual_seed(0)
    layer = nn.Conv2d(40, 60, 3, bias=False)
    signal = torch.randn(60, 3) @ torch.randn(3, 360)
    layer.weight.data = (signal + 0.3 * torch.randn(60, 360)).reshape(60, 40, 3, 3)
    (report,) = compress(layer, kind(), spectra=decompose(layer)).layers
    assert report.rank == 3


def test_budgets_keep_the_proportions_of_the_estimates():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False))
    for layer, components in zip(network, (2, 6), strict=True):
        layer.weight.data = torch.randn(64, components) @ torch.randn(components, 64) + 0.3 * torch.randn(64, 64)
    spectra = decompose(network)
    assert [layer.rank for layer in compress(network, EVBMF(), spectra=spectra).layers] == [2, 6]
    halved = compress(network, ParameterBudget(4 / 64, EVBMF()), spectra=spectra)  # 2 * 64 a rank, of 2 * 64 * 64
    assert [layer.rank for layer in halved.layers] == [1, 3]
    larger = compress(network, ParameterBudget(16 / 64, EVBMF()), spectra=spectra)
    assert [layer.rank for layer in larger.layers] == [4, 12]
