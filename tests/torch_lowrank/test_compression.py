"""What compression keeps, and what it refuses."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.layers.factorized import LowRank
from torch_lowrank.ranks.budgets import ParameterBudget
from torch_lowrank.ranks.rules import FixedRank
from torch_lowrank.report import LayerReport


def compressed(network, rank=1, scheme="channel", **settings):
    return compress(network, FixedRank(rank), spectra=decompose(network, scheme), **settings)


def reasons(network):
    return {layer.name: layer.skipped for layer in compressed(network).layers}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


class Block(nn.Module):
    """Layers in lists and dicts, one of them used twice."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1) for _ in range(2)])
        self.heads = nn.ModuleDict({"a": nn.Linear(8, 8), "b": nn.Linear(8, 8)})
        self.again = self.convs[0]
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x):
        for conv in [*self.convs, self.again]:
            x = self.norm(conv(x)).relu()
        return self.heads["a"](x.mean((2, 3))) + self.heads["b"](x.amax((2, 3)))


def test_layers_in_lists_and_dicts_are_replaced_and_shared_ones_stay_shared():
    network = Block()
    result = compressed(network)
    assert [layer.name for layer in result.layers] == ["convs.0", "convs.1", "heads.a", "heads.b"]
    assert all(layer.rank == 1 for layer in result.layers)
    assert result.network.again is result.network.convs[0]
    assert count(network) - count(result.network) == sum(
        layer.params_before - layer.params_after for layer in result.layers
    )
    result.network(torch.randn(2, 8, 5, 5))


def test_budget_counts_a_shared_layer_once():
    network = Block()
    assert count(compress(network, ParameterBudget(0.5), spectra=decompose(network)).network) <= count(network) / 2


def test_the_network_given_is_untouched_and_nothing_is_shared_with_it():
    network = Block()
    before, modules = copy.deepcopy(network.state_dict()), list(network.modules())
    result = compressed(network).network
    for parameter in result.parameters():
        parameter.data.add_(1)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert list(network.modules()) == modules
    own = {tensor.data_ptr() for tensor in network.state_dict().values()}
    assert not own & {tensor.data_ptr() for tensor in result.state_dict().values()}


def test_random_numbers_are_not_used_up():
    network = Block()
    state = torch.get_rng_state()
    compressed(network)
    assert torch.equal(torch.get_rng_state(), state)


def test_training_mode_and_requires_grad_are_kept_layer_by_layer():
    network = Block().train()
    network.convs[1].eval().requires_grad_(False)
    network.heads["a"].bias.requires_grad_(False)
    result = compressed(network).network
    assert result.convs[0].training and result.convs[0].first.training
    assert not result.convs[1].training and not result.convs[1].second.training
    assert not any(parameter.requires_grad for parameter in result.convs[1].parameters())
    first, second, bias = (
        result.heads["a"].get_parameter(f"{key}") for key in ("first.weight", "second.weight", "second.bias")
    )
    assert (first.requires_grad, second.requires_grad, bias.requires_grad) == (True, True, False)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("scheme", ["channel", "spatial"])
def test_dtype_and_memory_format_are_kept(dtype, scheme):
    network = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ConvTranspose2d(8, 8, 3)).to(dtype)
    network = network.to(memory_format=torch.channels_last)
    for layer in compressed(network, scheme=scheme).network:
        for parameter in layer.parameters():
            assert parameter.dtype == dtype
            assert parameter.ndim == 1 or parameter.is_contiguous(memory_format=torch.channels_last)


def test_contiguous_weights_stay_contiguous():
    network = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ConvTranspose2d(8, 8, 3), nn.Linear(8, 8))
    for scheme in ("channel", "spatial"):
        assert all(parameter.is_contiguous() for parameter in compressed(network, scheme=scheme).network.parameters())


def test_the_root_may_be_the_layer():
    layer = nn.Conv2d(8, 8, 3)
    result = compressed(layer)
    assert isinstance(result.network, LowRank)
    assert [(report.name, report.kind, report.rank) for report in result.layers] == [("", "Conv2d", 1)]


def test_compiled_networks_keep_their_wrapper():
    network = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU())
    wrapped = torch.compile(network, backend="eager")
    result = compressed(wrapped)
    assert type(result.network) is type(wrapped)
    assert [layer.name for layer in result.layers] == ["_orig_mod.0"]
    x = torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(result.network(x), compressed(network).network(x))
    assert isinstance(wrapped._orig_mod[0], nn.Conv2d)


def test_low_rank_layers_answer_for_the_dense_layer():
    layer = nn.Conv2d(8, 6, 3, stride=2, groups=2)
    low_rank = compressed(layer).network
    assert (low_rank.in_channels, low_rank.out_channels, low_rank.stride, low_rank.groups) == (8, 6, (2, 2), 2)
    assert low_rank.weight.shape == layer.weight.shape
    assert torch.equal(low_rank.bias, layer.bias)
    x = torch.randn(1, 8, 7, 7)
    by_hand = nn.functional.conv2d(x, low_rank.weight, low_rank.bias, stride=2, groups=2)
    assert type(by_hand) is torch.Tensor
    torch.testing.assert_close(low_rank(x), by_hand)


def test_gradients_reach_both_factors():
    network = compressed(Block()).network
    network(torch.randn(2, 8, 5, 5)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def same_network(one, other):
    state = other.state_dict()
    return all(torch.equal(value, state[name]) for name, value in one.state_dict().items())


def test_without_spectra_it_decomposes_by_both_schemes_or_by_the_one_asked_for():
    network = Block()
    for scheme in (None, "auto", "spatial", "channel"):
        expected = compress(network, ParameterBudget(0.4), spectra=decompose(network, scheme or "auto"))
        result = compress(network, ParameterBudget(0.4), scheme=scheme)
        assert result.layers == expected.layers
        assert same_network(result.network, expected.network)


def test_with_statistics_and_without_spectra_it_decomposes_weighted_by_them():
    network = Block().eval()
    statistics = collect_statistics(network, [torch.randn(4, 8, 6, 6)])
    spectra = decompose(network, "auto", statistics=statistics)
    expected = compress(network, ParameterBudget(0.4), spectra=spectra, statistics=statistics)
    result = compress(network, ParameterBudget(0.4), statistics=statistics)
    assert result.layers == expected.layers
    assert same_network(result.network, expected.network)


def test_a_scheme_that_is_not_that_of_the_spectra_is_refused():
    network = Block()
    with pytest.raises(ValueError, match="scheme is 'auto', the spectra are by 'channel'"):
        compress(network, FixedRank(1), spectra=decompose(network), scheme="auto")


def test_what_is_no_rule_is_refused():
    network = Block()
    with pytest.raises(TypeError, match="the rule is a Spectra; give a rank rule or a budget"):
        compress(network, decompose(network))


def test_reports_that_were_stored_without_bits_can_be_read():
    report = compressed(Block()).layers[0]
    stored = dataclasses.asdict(report)
    assert stored.pop("bits") is None
    assert LayerReport(**stored) == report


def test_layers_that_would_grow_stay_dense():
    report = compressed(nn.Conv2d(8, 8, 3), rank=8).layers[0]
    assert (report.rank, report.params_after, report.error) == (None, report.params_before, 0.0)
    assert report.skipped == "rank 8 would not make it smaller (up to 7 would)"
    assert compressed(nn.Linear(1, 8)).layers[0].skipped == "rank 1 would not make it smaller (no rank would)"


def test_layers_can_be_excluded_and_pinned():
    network = Block()
    result = compressed(network, rank=3, exclude=["heads.*"], pin={"convs.1": 2})
    assert [layer.rank for layer in result.layers] == [3, 2, None, None]
    assert result.layers[2].skipped == "excluded by 'heads.*'"
    budget = compress(
        network, ParameterBudget(0.6), spectra=decompose(network), exclude=["heads.*"], pin={"convs.1": 2}
    )
    assert budget.layers[1].rank == 2
    assert count(budget.network) <= 0.6 * count(network)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exclude": ["head.*"]}, "the pattern 'head.*' matches no layer; the layers are convs.0, convs.1, heads.a"),
        ({"exclude": "heads.*"}, "give a list of patterns"),
        ({"pin": {"nothing": 2}}, "the pattern 'nothing' matches no layer"),
        ({"pin": {"heads.a": 0}}, "rank is 0"),
        ({"pin": {"heads.a": 2}, "exclude": ["heads.*"]}, "layer 'heads.a' is both excluded and pinned"),
    ],
)
def test_wrong_patterns_are_refused(settings, message):
    with pytest.raises(ValueError, match=message.replace("*", r"\*")):
        compressed(Block(), **settings)


def test_spectra_of_another_network_are_refused():
    spectra = decompose(nn.Sequential(nn.Linear(8, 8)))
    with pytest.raises(ValueError, match="'0' that the network lacks"):
        compress(nn.ModuleDict({"a": nn.Linear(8, 8)}), FixedRank(1), spectra=spectra)
    with pytest.raises(ValueError, match=r"of a \(1, 8, 8\) matrix, the network has \(1, 8, 4\)"):
        compress(nn.Sequential(nn.Linear(4, 8)), FixedRank(1), spectra=spectra)
    with pytest.raises(ValueError, match="cannot be factorised now: a ReLU"):
        compress(nn.Sequential(nn.ReLU()), FixedRank(1), spectra=spectra)
    with pytest.raises(ValueError, match="was changed after the network was decomposed"):
        compress(nn.Sequential(nn.Linear(8, 8)), FixedRank(1), spectra=spectra)
