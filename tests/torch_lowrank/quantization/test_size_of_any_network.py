"""Budgets of bytes for random networks of all kinds of layers."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from torch_lowrank.compression import compress
from torch_lowrank.curvature.moments import Moments, Statistics
from torch_lowrank.io import WEIGHTS, load_network, network_digest, save_network
from torch_lowrank.layers.eligibility import survey
from torch_lowrank.layers.unfolding import folding_of
from torch_lowrank.quantization.coding import codings
from torch_lowrank.quantization.size_budget import SizeBudget, float_size
from torch_lowrank.ranks.budgets import BudgetError, ParameterBudget

CONVOLUTIONS = [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]


@st.composite
def layers(draw):
    """The constructor of a layer of any kind, with its arguments, and of a BatchNorm beside it."""
    kind = draw(st.sampled_from([nn.Linear, *CONVOLUTIONS]))
    bias = draw(st.booleans())
    if kind is nn.Linear:
        sizes = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
        return kind, sizes, {"bias": bias}
    groups = draw(st.integers(1, 3))
    inputs, outputs = (groups * draw(st.integers(1, 6)) for _ in range(2))
    dims = CONVOLUTIONS.index(kind) % 3 + 1
    kernel = draw(st.tuples(*[st.integers(1, 3)] * dims))
    return kind, (inputs, outputs, kernel), {"bias": bias, "groups": groups}


def built(constructors, seed):
    torch.manual_seed(seed)
    made = [kind(*args, **options) for kind, args, options in constructors]
    return nn.Sequential(*made, nn.BatchNorm2d(5), nn.Embedding(3, 4)).eval()


def statistics_of(network, seed):
    """Moments of vectors that are alike, as many as it takes for full rank or fewer."""
    generator = torch.Generator().manual_seed(seed)

    def moment(groups, size):
        vectors = torch.randn(groups, 8, size, generator=generator) @ torch.randn(
            groups, size, size, generator=generator
        )
        return vectors.mT @ vectors / 8

    found = {}
    for name, layer in survey(network).layers.items():
        groups, m, n = folding_of(layer, "channel").shape(layer)
        found[name] = Moments(moment(groups, n), moment(groups, m))
    return Statistics(found, "curvature", 8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(layers(), min_size=1, max_size=4),
    st.floats(0.02, 0.6),
    st.booleans(),
    st.integers(0, 1000),
)
def test_the_file_of_any_network_fits_and_holds_what_was_made(tmp_path, constructors, fraction, factorised, seed):
    network = built(constructors, seed)
    if factorised:
        network = half_of(network)
    statistics, whole = statistics_of(network, seed), float_size(network)
    try:
        result = compress(network, SizeBudget(fraction), statistics=statistics)
    except BudgetError as error:
        assert f"of {whole:,} bytes cannot be made" in str(error)
        assert error.smallest > fraction
        if error.smallest > 1:
            return
        fraction = error.smallest
        result = compress(network, SizeBudget(fraction), statistics=statistics)
    save_network(result.network, tmp_path / "small")
    assert (tmp_path / "small" / WEIGHTS).stat().st_size <= fraction * whole
    loaded = load_network(tmp_path / "small", lambda: built(constructors, seed + 1))
    assert network_digest(loaded) == network_digest(result.network)
    for name, tensor in result.network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    rounded = {name for name, coding in codings(loaded).items() if coding.scale is not None}
    assert {layer.name for layer in result.layers if layer.bits} == {owner(name) for name in rounded}


def half_of(network):
    try:
        return compress(network, ParameterBudget(0.5)).network
    except BudgetError:  # no layer of it becomes smaller
        return network


def owner(name):
    """The layer whose weight, or one of whose two weights, that is."""
    return name.removesuffix(".weight").removesuffix(".first").removesuffix(".second")
