"""What compression leaves alone, and why."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.ranks.rules import FixedRank


def compressed(network, rank=1, scheme="channel", **settings):
    return compress(network, FixedRank(rank), spectra=decompose(network, scheme), **settings)


def reasons(network):
    return {layer.name: layer.skipped for layer in compressed(network).layers}


class OwnForward(nn.Linear):
    def forward(self, x):
        return super().forward(x) ** 2


def hooked():
    layer = nn.Linear(8, 8)
    layer.register_forward_hook(lambda module, args, output: output + 1)
    return layer


def with_replaced_forward():
    layer = nn.Linear(8, 8)
    layer.forward = lambda x: x
    return layer


def pruned():
    return prune.l1_unstructured(nn.Linear(8, 8), "weight", 0.5)


def with_adapter():
    layer = nn.Linear(8, 8)
    layer.adapter = nn.Parameter(torch.zeros(8, 2))
    return layer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: parametrizations.weight_norm(nn.Linear(8, 8)), "computed from other parameters"),
        (lambda: parametrizations.spectral_norm(nn.Linear(8, 8)), "computed from other parameters"),
        (lambda: nn.utils.weight_norm(nn.Linear(8, 8)), "computed from other parameters"),
        (lambda: nn.utils.spectral_norm(nn.Linear(8, 8)), "computed from other parameters"),
        (pruned, "computed from other parameters"),
        (lambda: OwnForward(8, 8), "OwnForward is its own kind of Linear"),
        (hooked, "it has hooks"),
        (with_replaced_forward, "its forward method was replaced"),
        (with_adapter, "it holds more than a weight and a bias"),
        (lambda: nn.LSTM(8, 8), "a LSTM layer cannot be factorised"),
        (lambda: nn.Linear(8, 8, dtype=torch.complex64), "weights of type torch.complex64"),
        (lambda: nn.Linear(0, 8), "its weight is empty"),
    ],
)
def test_what_cannot_be_factorised_is_left_alone_with_a_reason(make, reason):
    network = nn.ModuleDict({"special": make(), "plain": nn.Linear(8, 8)})
    result = compressed(network)
    by_name = {layer.name: layer for layer in result.layers}
    assert reason in by_name["special"].skipped
    assert by_name["special"].rank is None
    assert by_name["plain"].rank == 1
    assert type(result.network["special"]) is type(network["special"])
    assert len(result.network["special"]._forward_hooks) == len(network["special"]._forward_hooks)
    if isinstance(network["special"], nn.Linear) and reason != "its weight is empty" and "complex" not in reason:
        x = torch.randn(2, 8)
        torch.testing.assert_close(result.network["special"].eval()(x), network["special"].eval()(x))


@pytest.mark.filterwarnings("ignore")
def test_quantised_layers_are_left_alone():
    quantised = torch.ao.nn.quantized.dynamic.Linear(8, 8)
    assert "cannot be factorised" in reasons(nn.Sequential(quantised, nn.Linear(8, 8)))["0"]


def test_tied_weights_are_left_alone():
    network = nn.ModuleDict({"embed": nn.Embedding(20, 8), "one": nn.Linear(8, 20), "two": nn.Linear(8, 20)})
    network["one"].weight = network["embed"].weight
    assert reasons(network)["one"] == "its weight is shared with embed.weight"
    assert reasons(network)["two"] is None
    result = compressed(network).network
    assert result["one"].weight is result["embed"].weight
    network["one"].bias = network["two"].bias
    assert reasons(network)["two"] == "its bias is shared with one.bias"


def test_projection_of_attention_is_left_alone():
    network = nn.MultiheadAttention(8, 2)
    found = reasons(network)
    assert found["out_proj"] is not None
    assert found[""].startswith("a MultiheadAttention layer hands its projections to one function")
