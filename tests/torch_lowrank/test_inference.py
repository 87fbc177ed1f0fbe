"""Networks as they run best give the same outputs."""

import pytest
import torch
from torch import nn

from models.unet import UNet
from tests.torch_lowrank.inference_cases import trained, worst
from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.inference import for_inference
from torch_lowrank.layers.factorized import LowRank, full_rank
from torch_lowrank.ranks.rules import FixedRank

TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("scheme", [None, "channel", "spatial"])
@pytest.mark.parametrize("bilinear", [True, False])
def test_the_outputs_are_the_same(dtype, scheme, bilinear):
    network = trained(UNet(2, 3, 8, bilinear=bilinear).to(dtype))
    if scheme is not None:
        network = compress(network, FixedRank(3), spectra=decompose(network, scheme)).network
    image = torch.randn(2, 2, 37, 32, dtype=dtype)
    assert worst(network, for_inference(network), image) < TOLERANCES[dtype]


def test_a_bias_that_is_not_the_right_one_would_be_seen():
    network = trained(UNet(1, 1, 8))
    deployed = for_inference(network)
    deployed.inc.double_conv[0].bias.data += 1e-3
    assert worst(network, deployed, torch.randn(1, 1, 32, 32)) > 1e-5


def test_no_batch_norm_is_left_and_ranks_are_multiples_of_eight():
    network = trained(UNet(1, 1, 16))
    network = compress(network, FixedRank(5), spectra=decompose(network)).network
    deployed = for_inference(network)
    assert not [module for module in deployed.modules() if isinstance(module, nn.BatchNorm2d)]
    thin = [module for module in deployed.modules() if isinstance(module, LowRank)]
    assert len(thin) > 10
    assert {layer.rank for layer in thin} == {8}
    assert {len(layer.first.weight) for layer in thin} == {8}


def test_the_network_given_is_untouched():
    network = trained(UNet(1, 1, 8))
    network = compress(network, FixedRank(3), spectra=decompose(network)).network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for_inference(network)
    assert network.training
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    "options",
    [{"groups": 2}, {"padding": 1, "padding_mode": "circular"}, {"stride": 2, "dilation": 2}, {"bias": False}],
)
@pytest.mark.parametrize("scheme", ["channel", "spatial"])
def test_any_geometry_gives_the_same(options, scheme):
    dense = nn.Conv2d(4, 6, 3, **options)
    layer = LowRank(dense, scheme, min(2, full_rank(dense, scheme)))
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    network = trained(nn.Sequential(layer, nn.BatchNorm2d(6), nn.ReLU()))
    assert worst(network, for_inference(network), torch.randn(2, 4, 16, 16)) < 1e-5


def test_what_is_used_twice_or_watched_is_not_folded():
    convolution = nn.Conv2d(3, 3, 3, padding=1)
    shared = trained(nn.Sequential(convolution, nn.BatchNorm2d(3), convolution, nn.BatchNorm2d(3)))
    image = torch.randn(1, 3, 8, 8)
    assert worst(shared, for_inference(shared), image) < 1e-5
    watched = trained(nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)))
    watched[0].register_forward_hook(lambda module, args, output: 2 * output)
    assert worst(watched, for_inference(watched), image) < 1e-5


def test_a_batch_norm_without_statistics_of_its_own_stays():
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)).eval()
    assert isinstance(for_inference(network)[1], nn.BatchNorm2d)
