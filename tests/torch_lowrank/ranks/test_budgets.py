import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import nn

from models.evaluation.cost import macs
from models.unet import UNet
from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.ranks.allocation import allocate_globally
from torch_lowrank.ranks.budgets import BudgetError, JointBudget, MacBudget, ParameterBudget
from torch_lowrank.ranks.costs import count_macs, mac_costs, parameter_costs, possible_schemes, smallest_share
from torch_lowrank.ranks.estimates import RelativeCut
from torch_lowrank.ranks.noise import EVBMF, HardThreshold
from torch_lowrank.ranks.options import Candidate, Choice, Option, several, total_cost
from torch_lowrank.ranks.rules import Energy, Entropy, FixedRank, RankRatio

RULES = [
    None,
    FixedRank(1),
    RankRatio(0.5),
    Energy(0.5),
    Entropy(0.5),
    Entropy(0.5, "sigma"),
    RelativeCut(0.1),
    HardThreshold(),
    EVBMF(),
]


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    return UNet(base_filters=16)


@pytest.fixture(scope="module")
def spectra(unet):
    return {scheme: decompose(unet, scheme) for scheme in ("channel", "spatial", "auto")}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scheme", ["channel", "spatial", "auto"])
@pytest.mark.parametrize("fraction", [0.75, 0.5, 0.25, 0.125, 0.0625])
def test_parameter_budget_is_met_within_half_a_percent(unet, spectra, rule, scheme, fraction):
    result = compress(unet, ParameterBudget(fraction, rule), spectra=spectra[scheme])
    assert 0.995 * fraction < count(result.network) / count(unet) <= fraction
    saved = sum(layer.params_before - layer.params_after for layer in result.layers)
    assert count(unet) - saved == count(result.network)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scheme", ["channel", "spatial", "auto"])
@pytest.mark.parametrize("fraction", [0.5, 0.2])
def test_mac_budget_is_met_within_half_a_percent(unet, spectra, rule, scheme, fraction):
    result = compress(unet, MacBudget(fraction, (1, 32, 32), rule), spectra=spectra[scheme])
    assert 0.995 * fraction < macs(result.network, (1, 32, 32)) / macs(unet, (1, 32, 32)) <= fraction


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)

    def forward(self, left, right):
        return self.left(left).sum() + self.right(right).sum()


def test_multiply_accumulates_of_networks_with_several_inputs():
    network, shapes = TwoInputs(), ((8, 6, 6), (8, 4, 4))
    assert count_macs(network, shapes) == 8 * 8 * 9 * (16 + 4)
    result = compress(network, MacBudget(0.5, shapes))
    assert count_macs(result.network, shapes) <= 0.5 * count_macs(network, shapes)
    assert MacBudget(0.5, [[8, 6, 6], [8, 4, 4]]) == MacBudget(0.5, shapes)
    with pytest.raises(ValueError, match="input_shape is"):
        MacBudget(0.5, ((8, 6, 6), (8, 0, 4)))


@pytest.mark.parametrize(
    "shape",
    [
        np.array((8, 6, 6)),
        tuple(np.array((8, 6, 6))),
        [8, 6, 6],
        torch.zeros(8, 6, 6).shape,
        (np.array((8, 6, 6)),),
        [tuple(np.array((8, 6, 6), np.uint8))],
    ],
)
def test_shapes_of_any_whole_numbers_are_kept_as_int(shape):
    network = nn.Conv2d(8, 8, 3)
    assert count_macs(network, shape) == 8 * 8 * 9 * 16
    for budget in (MacBudget(0.5, shape), JointBudget(0.5, 0.5, shape)):
        (kept,) = several(budget.input_shape)
        assert kept == (8, 6, 6) and {type(size) for size in kept} == {int}
        assert isinstance(hash(budget), int)
        assert count_macs(compress(network, budget).network, shape) <= 8 * 8 * 9 * 8


@pytest.mark.parametrize("shape", [(3, 8.0, 8), (3, (8, 8)), ((3, 8, 8), 3), "text", 3, np.array((3.0, 8, 8))])
def test_shapes_that_are_none_are_refused(shape):
    for make in (lambda: MacBudget(0.5, shape), lambda: JointBudget(0.5, 0.5, shape)):
        with pytest.raises(ValueError, match="give the shape of one input, as"):
            make()


@pytest.mark.parametrize("rule", [0.5, "entropy", Entropy, ParameterBudget(0.5)])
def test_a_rule_that_is_none_is_refused(rule):
    message = f"the rule of a budget is a {type(rule).__name__}; give a rule for single layers"
    with pytest.raises(TypeError, match=message):
        ParameterBudget(0.5, rule=rule)
    with pytest.raises(TypeError, match=message):
        MacBudget(0.5, (8, 6, 6), rule)


def test_all_of_the_budget_changes_nothing(unet, spectra):
    for rule in RULES:
        result = compress(unet, ParameterBudget(1.0, rule), spectra=spectra["auto"])
        assert max(layer.error for layer in result.layers) < 1e-6


@pytest.mark.parametrize("rule", RULES)
def test_unreachable_budget_names_the_smallest_reachable(unet, spectra, rule):
    with pytest.raises(BudgetError, match=r"0.001 of 838,497 parameters cannot be met; the smallest reachable is") as e:
        compress(unet, ParameterBudget(0.001, rule), spectra=spectra["channel"])
    smallest = e.value.smallest
    assert count(
        compress(unet, ParameterBudget(smallest, rule), spectra=spectra["channel"]).network
    ) <= smallest * count(unet)
    with pytest.raises(BudgetError):
        compress(unet, ParameterBudget(smallest - 2e-4, rule), spectra=spectra["channel"])


def test_a_network_without_layers_has_one_budget():
    network = nn.BatchNorm2d(3)
    assert compress(network, ParameterBudget(1.0), spectra=decompose(network)).layers == []
    with pytest.raises(BudgetError, match="the smallest reachable is 1"):
        compress(network, ParameterBudget(0.5), spectra=decompose(network))


def test_wrong_input_shape_is_an_error(unet, spectra):
    with pytest.raises(ValueError, match=r"cannot take one input of shape \(3, 32, 32\)"):
        compress(unet, MacBudget(0.5, (3, 32, 32)), spectra=spectra["channel"])
    with pytest.raises(ValueError, match="give the shape of one input"):
        MacBudget(0.5, ())


def test_macs_count_calls_and_leave_unused_layers_dense():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Conv2d(8, 8, 3, stride=1, padding=1), nn.Conv2d(8, 8, 3)

        def forward(self, x):
            return self.used(input=self.used(x))

    network = Twice()
    result = compress(network, MacBudget(0.5, (8, 10, 10)), spectra=decompose(network))
    assert macs(result.network, (8, 10, 10)) <= macs(network, (8, 10, 10)) / 2 == 8 * 8 * 9 * 100
    assert result.layers[1].skipped == "no rank would make it smaller"


@pytest.mark.parametrize("scheme", ["channel", "spatial"])
@pytest.mark.parametrize(
    "network",
    [
        nn.Conv2d(4, 6, (3, 5), stride=(2, 3), padding=1, groups=2),
        nn.Conv2d(4, 6, 3, padding="same", padding_mode="circular"),
        nn.ConvTranspose2d(4, 6, (3, 4), stride=(3, 2), output_padding=1, groups=2),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.Flatten(2), nn.Conv1d(4, 8, 3, dilation=2), nn.Linear(164, 40)),
    ],
)
def test_macs_of_a_factorised_layer_are_those_counted(network, scheme):
    spectra = decompose(network, scheme)
    costs = mac_costs(network, possible_schemes(network, scheme), (4, 16, 14))
    assert costs.total == sum(costs.dense.values()) == macs(network, (4, 16, 14))
    smaller = compress(network, FixedRank(1), spectra=spectra)
    expected = sum(
        costs.dense[layer.name] if layer.rank is None else costs.per_rank[layer.name, layer.scheme]
        for layer in smaller.layers
    )
    assert macs(smaller.network, (4, 16, 14)) == expected


def random_network(sizes):
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 24), min_size=2, max_size=5),
    st.floats(0.05, 1),
    st.sampled_from(RULES),
    st.sampled_from(["channel", "spatial", "auto"]),
    st.integers(0, 1000),
)
@example([1, 1], 0.9999999999999999, None, "channel", 0)
def test_budgets_are_never_exceeded(sizes, fraction, rule, scheme, seed):
    torch.manual_seed(seed)
    network = random_network(sizes)
    spectra = decompose(network, scheme)
    try:
        result = compress(network, ParameterBudget(fraction, rule), spectra=spectra)
    except BudgetError as error:
        assert error.smallest > fraction
        return
    assert count(result.network) <= Fraction(str(fraction)) * count(network)
    saved = sum(layer.params_before - layer.params_after for layer in result.layers)
    assert count(network) - saved == count(result.network)


@st.composite
def candidates(draw):
    layers = []
    for index in range(draw(st.integers(1, 3))):
        values = sorted(draw(st.lists(st.floats(0.01, 10), min_size=1, max_size=4)), reverse=True)
        dense = draw(st.integers(2, 40))
        options = tuple(
            Option(scheme, torch.tensor(values[: draw(st.integers(1, 4))], dtype=torch.float64), cost, dense)
            for scheme, cost in zip(
                ("channel", "spatial"), draw(st.tuples(st.integers(1, 20), st.integers(1, 20))), strict=True
            )
        )
        layers.append(Candidate(f"layer{index}", dense, options))
    return layers


@given(candidates(), st.integers(0, 120))
def test_global_allocation_is_near_the_best(layers, budget):
    """Against all combinations: never over budget, and no worse than the best one that leaves one step of budget."""
    every = [
        [Choice(None, 0)]
        + [Choice(option.scheme, rank) for option in layer.options for rank in range(1, option.largest_rank + 1)]
        for layer in layers
    ]
    table = []
    for combination in itertools.product(*every):
        chosen = {layer.name: choice for layer, choice in zip(layers, combination, strict=True)}
        error = sum(layer.error(chosen[layer.name]) for layer in layers)
        table.append((total_cost(layers, chosen), error))
    assume(any(cost <= budget for cost, _ in table))
    got = allocate_globally(layers, budget)
    assert total_cost(layers, got) <= budget
    error = sum(layer.error(got[layer.name]) for layer in layers)
    step = max(layer.dense_cost for layer in layers)
    best = min((other for cost, other in table if cost <= budget - step), default=float("inf"))
    assert error <= best + 1e-9


def test_global_allocation_beats_every_single_rule(unet, spectra):
    def error(rule):
        layers = compress(unet, ParameterBudget(0.25, rule), spectra=spectra["channel"]).layers
        return sum(layer.error**2 for layer in layers)

    best = error(None)
    assert all(best <= error(rule) for rule in RULES)


def test_auto_has_no_more_error_than_either_scheme(unet, spectra):
    errors = {
        scheme: sum(layer.error**2 for layer in compress(unet, ParameterBudget(0.25), spectra=given).layers)
        for scheme, given in spectra.items()
    }
    assert errors["auto"] <= min(errors["channel"], errors["spatial"]) + 1e-9


@pytest.mark.parametrize("scheme", ["channel", "spatial", "auto"])
def test_the_smallest_share_is_what_the_smallest_budget_leaves(scheme: str) -> None:
    network = UNet(1, 1, 4)
    smallest = smallest_share(parameter_costs(network, possible_schemes(network, scheme)))
    spectra = decompose(network, scheme)
    made = compress(network, ParameterBudget(smallest + 1e-9), spectra=spectra)
    assert count(made.network) == pytest.approx(smallest * count(network), abs=1)
    with pytest.raises(BudgetError):
        compress(network, ParameterBudget(smallest - 1e-3), spectra=spectra)


@pytest.mark.parametrize("scheme", ["channel", "spatial", "auto"])
def test_the_smallest_share_of_the_work_is_what_the_smallest_budget_leaves(scheme: str) -> None:
    network, shape = UNet(1, 1, 4), (1, 32, 32)
    smallest = smallest_share(mac_costs(network, possible_schemes(network, scheme), shape))
    spectra = decompose(network, scheme)
    made = compress(network, MacBudget(smallest + 1e-6, shape), spectra=spectra)
    assert macs(made.network, shape) == pytest.approx(smallest * macs(network, shape), rel=1e-3)
    with pytest.raises(BudgetError):
        compress(network, MacBudget(smallest - 1e-3, shape), spectra=spectra)
