"""The U-Net and compressed networks go through torch's compilers, for other sizes than the example's, too."""

import pytest
import torch
from torch import fx, nn

from models.unet import UNet
from torch_lowrank.compression import compress
from torch_lowrank.ranks.budgets import ParameterBudget
from torch_lowrank.ranks.rules import FixedRank

DYNAMIC = torch.export.Dim.DYNAMIC
EXAMPLE = torch.zeros(2, 1, 48, 32)


@pytest.fixture(params=[None, "channel", "spatial"])
def network(request):
    torch.manual_seed(0)
    network = UNet(1, 2, 4, bilinear=request.param != "spatial").eval()
    if request.param is None:
        return network
    return compress(network, ParameterBudget(0.4), scheme=request.param).network


def same(network, other, shapes):
    with torch.no_grad():
        for shape in shapes:
            image = torch.randn(shape)
            torch.testing.assert_close(other(image), network(image), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("compiler", [torch.jit.script, fx.symbolic_trace])
def test_scripted_and_traced_networks_take_any_size(network, compiler):
    same(network, compiler(network), [(2, 1, 48, 32), (1, 1, 37, 51), (3, 1, 9, 20)])


def test_exported_networks_take_any_number_of_images(network):
    exported = torch.export.export(network, (EXAMPLE,), dynamic_shapes=({0: DYNAMIC},)).module()
    same(network, exported, [(1, 1, 48, 32), (5, 1, 48, 32)])


def test_exported_networks_take_any_size_from_32_on(network):
    exported = torch.export.export(network, (EXAMPLE,), dynamic_shapes=({0: DYNAMIC, 2: DYNAMIC, 3: DYNAMIC},))
    same(network, exported.module(), [(1, 1, 32, 33), (3, 1, 37, 51)])


@pytest.mark.filterwarnings("ignore")
def test_every_kind_of_layer_is_scripted():
    layers = [nn.Conv1d(6, 6, 3), nn.ConvTranspose1d(6, 6, 3), nn.Flatten(), nn.Linear(60, 9)]
    small = compress(nn.Sequential(*layers).eval(), FixedRank(1)).network
    same(small, torch.jit.script(small), [(2, 6, 10)])
    with pytest.raises(torch.jit.Error, match="takes no output_size"):
        torch.jit.script(small[1])(torch.zeros(1, 6, 8), [10])
