"""Networks that are not ours compress, run, and come back from disk."""

import pytest
import torch
from monai.networks.nets import DynUNet, SegResNet
from monai.networks.nets import UNet as MonaiUNet
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.evaluation.cost import macs
from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.io import load_network, save_network
from torch_lowrank.ranks.budgets import MacBudget, ParameterBudget
from torch_lowrank.ranks.rules import Energy, FixedRank


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + self.shortcut(x)).relu()


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 7, 2, 3, bias=False)
        self.blocks = nn.Sequential(Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 32, 1))
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


class MobileNet(nn.Module):
    """Inverted residuals: 1x1, depthwise 3x3 or 5x5, 1x1."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
        self.blocks = nn.ModuleList()
        for kernel, stride in [(3, 1), (5, 2), (5, 1)]:
            depthwise = nn.Conv2d(64, 64, kernel, stride, kernel // 2, groups=64, bias=False)
            layers = [nn.Conv2d(16, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU6(), depthwise, nn.BatchNorm2d(64)]
            self.blocks.append(nn.Sequential(*layers, nn.ReLU6(), nn.Conv2d(64, 16, 1, bias=False)))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class Transformer(nn.Module):
    """Patches, an encoder, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.patches(x).flatten(2).mT).mean(1))


def dynunet():
    return DynUNet(2, 1, 2, [3, 3, (3, 1)], [1, 2, (2, 1)], [2, (2, 1)], filters=[8, 16, 32], res_block=True)


NETWORKS = {
    "monai_unet_2d": (lambda: MonaiUNet(2, 1, 2, (8, 16, 32), (2, 2), num_res_units=1), (1, 32, 32)),
    "monai_unet_3d": (lambda: MonaiUNet(3, 1, 2, (8, 16, 32), (2, 2)), (1, 16, 16, 16)),
    "segresnet_2d": (lambda: SegResNet(2, init_filters=8, in_channels=1, upsample_mode="deconv"), (1, 32, 32)),
    "segresnet_3d": (lambda: SegResNet(3, init_filters=8, in_channels=1), (1, 16, 16, 16)),
    "dynunet": (dynunet, (1, 32, 32)),
    "resnet": (ResNet, (3, 32, 32)),
    "mobilenet": (MobileNet, (3, 32, 32)),
    "transformer": (Transformer, (3, 32, 32)),
}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(scope="module", params=NETWORKS)
def case(request):
    torch.manual_seed(0)
    make, shape = NETWORKS[request.param]
    network = make().eval()
    return make, network, shape, {scheme: decompose(network, scheme) for scheme in ("channel", "spatial", "auto")}


@pytest.mark.parametrize("scheme", ["channel", "spatial", "auto"])
def test_compresses_runs_and_comes_back(case, scheme, tmp_path):
    make, network, shape, spectra = case
    x = torch.randn(2, *shape)
    result = compress(network, ParameterBudget(0.5), spectra=spectra[scheme])
    assert 0.99 * 0.5 * count(network) < count(result.network) <= 0.5 * count(network)
    saved = sum(layer.params_before - layer.params_after for layer in result.layers)
    assert count(network) - saved == count(result.network)
    with torch.no_grad():
        expected = result.network(x)
        assert expected.shape == network(x).shape
        save_network(result.network, tmp_path / "network")
        torch.testing.assert_close(load_network(tmp_path / "network", make)(x), expected)


@pytest.mark.parametrize("scheme", ["channel", "spatial", "auto"])
def test_all_of_the_energy_gives_the_same_outputs(case, scheme):
    _, network, shape, spectra = case
    x = torch.randn(2, *shape)
    network_of_full_rank = compress(network, Energy(1.0), spectra=spectra[scheme]).network
    with torch.no_grad():
        torch.testing.assert_close(network_of_full_rank(x), network(x), atol=2e-4, rtol=1e-4)


def test_mac_budget_holds(case):
    _, network, shape, spectra = case
    result = compress(network, MacBudget(0.7, shape), spectra=spectra["auto"])
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not see into fused transformer layers
    try:
        assert 0.995 * 0.7 < macs_of(result.network, shape) / macs_of(network, shape) <= 0.7
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def macs_of(network, shape):
    """As `cost.macs`, for inputs of any number of axes."""
    if len(shape) == 3:
        return macs(network, shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


def test_transformer_layers_use_their_low_rank(case):
    _, network, shape, spectra = case
    if not isinstance(network, Transformer):
        pytest.skip("about the transformer")
    small = compress(network.eval(), FixedRank(2), spectra=spectra["channel"]).network
    with torch.inference_mode():
        small(torch.zeros(1, *shape))
        called = []
        small.encoder.layers[0].linear1.second.register_forward_hook(lambda *_: called.append(True))
        small(torch.zeros(1, *shape))
    assert called
    padded = torch.tensor([[False] * 16, [False] * 8 + [True] * 8])
    tokens = torch.randn(2, 16, 32)
    with torch.no_grad():
        in_evaluation = small.encoder(tokens, src_key_padding_mask=padded)
    for module in small.encoder.modules():
        module.training = not isinstance(module, nn.Dropout)
    small.encoder.layers[0].self_attn.dropout = small.encoder.layers[1].self_attn.dropout = 0.0
    expected = small.encoder(tokens, src_key_padding_mask=padded)
    torch.testing.assert_close(in_evaluation, expected.detach(), atol=1e-5, rtol=1e-4)  # padded tokens, too


def test_depthwise_layers_gain_only_by_the_spatial_scheme(case):
    _, network, _, spectra = case
    if not isinstance(network, MobileNet):
        pytest.skip("about depthwise layers")
    for scheme, replaced in (("channel", False), ("spatial", True), ("auto", True)):
        layers = compress(network, FixedRank(1), spectra=spectra[scheme]).layers
        ranks = {layer.name: layer.rank for layer in layers if layer.name.endswith(".3")}
        assert len(ranks) == 3
        assert all((rank is not None) == replaced for rank in ranks.values())
