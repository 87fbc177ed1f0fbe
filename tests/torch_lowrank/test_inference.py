"""Networks as they run best give the same outputs."""

import pytest
import torch
from torch import nn

from models.unet import UNet
from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.inference import for_inference
from torch_lowrank.layers.factorized import LowRank, full_rank
from torch_lowrank.ranks.rules import FixedRank

TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}


def trained(network):
    """Gives every BatchNorm what training would have left in it."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                nn.init.uniform_(values, 0.5, 2)
            for values in (module.bias, module.running_mean):
                nn.init.normal_(values)
    return network.eval()


def worst(network, other, image):
    with torch.inference_mode():
        expected = network(image)
        return float((other(image) - expected).abs().max() / expected.abs().max())


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("scheme", [None, "channel", "spatial"])
@pytest.mark.parametrize("bilinear", [True, False])
def test_the_outputs_are_the_same(dtype, scheme, bilinear):
    network = trained(UNet(2, 3, 8, bilinear=bilinear).to(dtype))
    if scheme is not None:
        network = compress(network, decompose(network, scheme), FixedRank(3)).network
    image = torch.randn(2, 2, 37, 32, dtype=dtype)
    assert worst(network, for_inference(network), image) < TOLERANCES[dtype]


def test_a_bias_that_is_not_the_right_one_would_be_seen():
    network = trained(UNet(1, 1, 8))
    deployed = for_inference(network)
    deployed.inc.double_conv[0].bias.data += 1e-3
    assert worst(network, deployed, torch.randn(1, 1, 32, 32)) > 1e-5


def test_no_batch_norm_is_left_and_ranks_are_multiples_of_eight():
    network = trained(UNet(1, 1, 16))
    network = compress(network, decompose(network), FixedRank(5)).network
    deployed = for_inference(network)
    assert not [module for module in deployed.modules() if isinstance(module, nn.BatchNorm2d)]
    thin = [module for module in deployed.modules() if isinstance(module, LowRank)]
    assert len(thin) > 10
    assert {layer.rank for layer in thin} == {8}
    assert {len(layer.first.weight) for layer in thin} == {8}


@pytest.mark.parametrize("bilinear", [True, False])
@pytest.mark.parametrize("scheme", ["channel", "spatial"])
def test_large_skip_connections_are_not_copied_before_a_thin_convolution(scheme, bilinear, monkeypatch):
    network = trained(UNet(1, 1, 16, bilinear=bilinear))
    network = compress(network, decompose(network, scheme), FixedRank(5)).network
    deployed = for_inference(network)
    image = torch.randn(1, 1, 37, 32)
    monkeypatch.setattr("torch_lowrank.inference._LARGE", 1)
    assert worst(network, deployed, image) < 1e-5
    monkeypatch.setattr(torch, "cat", lambda *arguments, **options: pytest.fail("copied"))
    deployed(image)
    monkeypatch.setattr("torch_lowrank.inference._LARGE", 2**21)
    with pytest.raises(pytest.fail.Exception, match="copied"):
        deployed(image)


def test_the_network_given_is_untouched():
    network = trained(UNet(1, 1, 8))
    network = compress(network, decompose(network), FixedRank(3)).network.train()
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


def test_up_blocks_that_are_watched_or_stand_alone_stay(monkeypatch):
    monkeypatch.setattr("torch_lowrank.inference._LARGE", 1)
    network = trained(UNet(1, 1, 16))
    network = compress(network, decompose(network), FixedRank(5)).network
    network.up4.register_forward_hook(lambda module, args, output: 2 * output)
    image = torch.randn(1, 1, 32, 32)
    assert worst(network, for_inference(network), image) < 1e-5
    alone = network.up3
    inputs = torch.randn(1, 32, 8, 8), torch.randn(1, 32, 16, 16)
    assert torch.allclose(for_inference(alone)(*inputs), alone(*inputs), atol=1e-5)


def test_a_batch_norm_without_statistics_of_its_own_stays():
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)).eval()
    assert isinstance(for_inference(network)[1], nn.BatchNorm2d)
