"""Factorised layers are decomposed from their product; what a budget cannot reach is named."""

import pytest
import torch
from torch import nn

from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.io import load_network, save_network
from torch_lowrank.layers.factorized import LowRank, count_parameters
from torch_lowrank.layers.unfolding import folding_of
from torch_lowrank.ranks.budgets import BudgetError, MacBudget, ParameterBudget
from torch_lowrank.ranks.costs import count_macs
from torch_lowrank.ranks.rules import FixedRank

IMAGES = torch.randn(3, 3, 12, 11, generator=torch.Generator().manual_seed(2))


def make():
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=2, padding_mode="circular"),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 12, 3, stride=2, output_padding=1),
        nn.Flatten(2),
        nn.Linear(196, 20),
    ]
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("scheme", ["channel", "spatial"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_rank_again_is_found_in_the_product(scheme, dtype):
    first = compress(make().to(dtype), FixedRank(4), scheme=scheme).network
    spectra = decompose(first, scheme)
    for name, spectrum in spectra.layers.items():
        layer = first.get_submodule(name)
        assert int((spectrum.singular_values > 0).sum()) == 4
        matrix = (spectrum.left[:, :, :4] @ spectrum.right[:, :4]).double()
        torch.testing.assert_close(
            matrix, folding_of(layer, spectrum.scheme).unfold(layer.weight.detach(), len(matrix)).double()
        )


def test_twice_by_the_channel_scheme_is_once():
    network = make()
    for rank in (4, 2):
        once = compress(network, FixedRank(rank), scheme="channel")
        twice = compress(compress(network, FixedRank(6), scheme="channel").network, FixedRank(rank), scheme="channel")
        assert [layer.rank for layer in twice.layers] == [layer.rank for layer in once.layers] == [rank] * 4
        assert [layer.kind for layer in twice.layers] == [layer.kind for layer in once.layers]
        with torch.no_grad():
            torch.testing.assert_close(twice.network(IMAGES), once.network(IMAGES), rtol=1e-4, atol=1e-6)
        assert [each.shape for each in twice.network.parameters()] == [each.shape for each in once.network.parameters()]


def test_a_wrong_product_would_be_seen():
    first = compress(make(), FixedRank(6), scheme="channel").network
    expected = compress(first, FixedRank(2), scheme="channel").network
    first[0].second.weight.data.mul_(1.5)
    with torch.no_grad():
        difference = compress(first, FixedRank(2), scheme="channel").network(IMAGES) - expected(IMAGES)
    assert difference.abs().max() > 1e-4


@pytest.mark.parametrize("scheme", ["channel", "spatial", "auto"])
def test_a_second_budget_counts_from_what_is_there(scheme):
    half = compress(make(), ParameterBudget(0.5), scheme=scheme).network
    quarter = compress(half, ParameterBudget(0.5), scheme=scheme)
    assert 0.9 * 0.5 < count_parameters(quarter.network) / count_parameters(half) <= 0.5
    for report in quarter.layers:
        before, after = half.get_submodule(report.name), quarter.network.get_submodule(report.name)
        assert (report.params_before, report.params_after) == (count_parameters(before), count_parameters(after))
    shape = tuple(IMAGES.shape[1:])
    fast = compress(half, MacBudget(0.7, shape), scheme=scheme).network
    assert 0.6 < count_macs(fast, shape) / count_macs(half, shape) <= 0.7


def test_a_layer_that_would_not_become_smaller_keeps_its_rank():
    first = compress(make(), FixedRank(3), scheme="channel").network
    again = compress(first, FixedRank(3), scheme="channel")
    assert {layer.skipped for layer in again.layers} == {
        "it keeps its rank of 3: rank 3 would not make it smaller (up to 2 would)"
    }
    assert all(torch.equal(value, first.state_dict()[key]) for key, value in again.network.state_dict().items())


def test_statistics_of_a_compressed_network_are_those_of_the_dense_layers_in_its_place():
    small = compress(make(), FixedRank(5), scheme="channel").network
    dense = make()
    for name, layer in small.named_modules():
        if isinstance(layer, LowRank):
            dense.get_submodule(name).weight.data.copy_(layer.weight.detach())
    found, expected = (collect_statistics(each, [IMAGES]) for each in (small, dense))
    assert list(found) == list(expected) == ["0", "2", "4", "6"]
    for name, moments in expected.items():
        torch.testing.assert_close(found[name].columns, moments.columns, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found[name].rows, moments.rows, rtol=1e-3, atol=1e-5)
    result = compress(small, ParameterBudget(0.6), statistics=found)
    assert count_parameters(result.network) <= 0.6 * count_parameters(small)


def test_what_was_compressed_twice_comes_back(tmp_path):
    twice = compress(compress(make(), FixedRank(6)).network, FixedRank(2)).network
    save_network(twice, tmp_path / "network")
    again = load_network(tmp_path / "network", make)
    with torch.no_grad():
        assert torch.equal(again(IMAGES), twice(IMAGES))


@pytest.mark.parametrize("part", ["", "first", "second"])
def test_a_factorised_layer_with_hooks_is_left_alone(part):
    small = compress(make(), FixedRank(6)).network
    small[0].get_submodule(part).register_forward_hook(lambda *_: None)
    assert "it has hooks" in compress(small, FixedRank(2)).layers[0].skipped


def test_a_factorised_layer_with_shared_factors_is_left_alone():
    small = nn.Sequential(*compress(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)), FixedRank(3)).network)
    small[1].first.weight = small[0].first.weight
    reasons = [layer.skipped for layer in compress(small, FixedRank(1)).layers]
    assert reasons == [f"it keeps its rank of 3: its weight is shared with {other}.first.weight" for other in (1, 0)]


def test_a_budget_that_cannot_be_met_names_what_is_not_factorised():
    class Squared(nn.Linear):
        def forward(self, x):
            return super().forward(x) ** 2

    network = nn.Sequential(*(Squared(8, 8) for _ in range(81)), nn.Embedding(5, 8), nn.Linear(8, 8))
    with pytest.raises(BudgetError) as caught:
        compress(network, ParameterBudget(0.1))
    assert caught.value.smallest > 0.9
    assert str(caught.value).endswith(
        "not factorised are 81 layers of type Squared with 5,832 parameters (Squared is its own kind of Linear, and "
        "does more than pad), 1 layer of type Embedding with 40 parameters (a Embedding layer cannot be factorised)"
    )
