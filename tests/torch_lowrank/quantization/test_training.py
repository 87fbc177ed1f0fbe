import copy

import pytest
import torch
from torch import nn

from tests.torch_lowrank.quantization.quantized_cases import EveryKind, inputs, network
from torch_lowrank.io import load_network, network_digest, save_network, weights
from torch_lowrank.quantization.coding import codings
from torch_lowrank.quantization.quantize import quantize_weights
from torch_lowrank.quantization.training import round_while_training


def state_of(trained):
    return {name: tensor.clone() for name, tensor in trained.state_dict().items()}


def trained(quantized, steps=20, lr=0.05):
    """Trains towards the outputs of another network."""
    x = inputs()
    with torch.no_grad():
        target = network(seed=5)(*x)
    quantized.eval()
    with round_while_training(quantized):
        optimizer = torch.optim.Adam(quantized.parameters(), lr)
        losses = []
        for _ in range(steps):
            loss = (quantized(*x) - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("scheme", [None, "channel", "spatial"])
@pytest.mark.parametrize("bits", [2, 5])
def test_what_was_learned_is_what_is_stored(tmp_path, scheme, bits):
    quantized = quantize_weights(network(scheme), bits, other_bits=16)
    before, names = state_of(quantized), [*codings(quantized)]
    size = len(weights(quantized))
    losses = trained(quantized)
    assert min(losses[1:]) < losses[0]
    after = state_of(quantized)
    assert [*after] == [*before] and [*codings(quantized)] == names
    assert any(not torch.equal(after[name], before[name]) for name in names if name.endswith("weight"))
    save_network(quantized, tmp_path / "net")
    assert len(weights(quantized)) == size
    loaded = load_network(tmp_path / "net", EveryKind)
    assert network_digest(loaded) == network_digest(quantized)
    assert torch.equal(loaded(*inputs()), quantized(*inputs()))


@pytest.mark.parametrize("scheme", [None, "channel"])
def test_nothing_changes_without_a_step_and_outputs_are_those_of_the_rounded_network(scheme):
    quantized = quantize_weights(network(scheme), 3)
    digest, expected = network_digest(quantized), quantized(*inputs())
    with round_while_training(quantized) as same:
        assert same is quantized
        assert torch.equal(quantized(*inputs()), expected)
    assert network_digest(quantized) == digest
    assert type(quantized.linear) is type(network(scheme).linear)


def test_the_gradient_is_that_of_the_rounded_weight_but_where_codes_end():
    layer = quantize_weights(nn.Sequential(nn.Linear(6, 4)), 3)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    plain = copy.deepcopy(layer)
    plain(x).square().sum().backward()
    with round_while_training(layer):
        behind = layer[0].parametrizations.weight.original
        behind.data[0, 0] = 100.0
        rounded = layer[0].weight.detach().clone()
        plain[0].weight.data = rounded
        plain.zero_grad()
        plain(x).square().sum().backward()
        layer(x).square().sum().backward()
        expected = plain[0].weight.grad.clone()
        expected[0, 0] = 0
        assert torch.equal(behind.grad, expected)
    assert torch.equal(layer[0].weight, rounded)


def test_the_weights_are_rounded_again_after_an_error():
    quantized = quantize_weights(network(), 4)
    with pytest.raises(RuntimeError, match="out of memory"), round_while_training(quantized):
        for parameter in quantized.parameters():
            parameter.data.add_(0.03)
        raise RuntimeError("out of memory")
    weights(quantized)  # which refuses weights that are not rounded
    assert not any("parametrizations" in name for name, _ in quantized.named_parameters())


def test_other_networks_are_trained_as_usual():
    plain = network()
    with round_while_training(plain):
        assert not any("parametrizations" in name for name, _ in plain.named_parameters())
    assert not codings(plain)


def test_a_network_may_lie_in_channels_last_layout():
    quantized = quantize_weights(nn.Sequential(nn.Conv2d(3, 4, 3, groups=1), nn.BatchNorm2d(4)), 4)
    digest = network_digest(quantized)
    with round_while_training(quantized):
        quantized.to(memory_format=torch.channels_last)
        quantized(torch.randn(2, 3, 8, 8)).sum().backward()
        quantized.to(memory_format=torch.contiguous_format)
        quantized[1].reset_running_stats()
    assert network_digest(quantized) == digest
