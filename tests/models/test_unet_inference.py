"""Our U-Net for inference gives the same outputs, and copies no large skip connection."""

import pytest
import torch

from models.unet import UNet
from models.unet_inference import for_inference
from tests.torch_lowrank.inference_cases import trained, worst
from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.ranks.rules import FixedRank


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("bilinear", [True, False])
@pytest.mark.parametrize("scheme", ["channel", "spatial"])
def test_large_skip_connections_are_not_copied_before_a_thin_convolution(scheme, bilinear, monkeypatch):
    network = trained(UNet(1, 1, 16, bilinear=bilinear))
    network = compress(network, FixedRank(5), spectra=decompose(network, scheme)).network
    deployed = for_inference(network)
    image = torch.randn(1, 1, 37, 32)
    monkeypatch.setattr("models.unet_inference._LARGE", 1)
    assert worst(network, deployed, image) < 1e-5
    monkeypatch.setattr(torch, "cat", lambda *arguments, **options: pytest.fail("copied"))
    deployed(image)
    monkeypatch.setattr("models.unet_inference._LARGE", 2**21)
    with pytest.raises(pytest.fail.Exception, match="copied"):
        deployed(image)


def test_up_blocks_that_are_watched_or_stand_alone_stay(monkeypatch):
    monkeypatch.setattr("models.unet_inference._LARGE", 1)
    network = trained(UNet(1, 1, 16))
    network = compress(network, FixedRank(5), spectra=decompose(network)).network
    network.up4.register_forward_hook(lambda module, args, output: 2 * output)
    image = torch.randn(1, 1, 32, 32)
    assert worst(network, for_inference(network), image) < 1e-5
    alone = network.up3
    inputs = torch.randn(1, 32, 8, 8), torch.randn(1, 32, 16, 16)
    assert torch.allclose(for_inference(alone)(*inputs), alone(*inputs), atol=1e-5)
