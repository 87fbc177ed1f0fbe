"""Weights that say nothing, or too much: every number stays finite."""

import numpy as np
import pytest
import torch
from torch import nn

from models.preprocessing import Preprocessing
from models.unet import UNet
from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.ranks.budgets import ParameterBudget
from torch_lowrank.ranks.estimates import EffectiveRank, RelativeCut, StableRank
from torch_lowrank.ranks.noise import EVBMF, HardThreshold
from torch_lowrank.ranks.rules import Energy, Entropy, FixedRank, RankRatio
from torch_lowrank.recalibration import recalibrate

PLAIN = Preprocessing(mean=0.3, std=0.3)
RULES = [
    FixedRank(2),
    RankRatio(0.3),
    Energy(0.9),
    Entropy(0.9),
    Entropy(0.9, "sigma"),
    EffectiveRank(scale=0.5),
    StableRank(),
    RelativeCut(0.3),
    HardThreshold(),
    EVBMF(),
    ParameterBudget(0.5),
    ParameterBudget(0.5, EVBMF()),
]
IMAGES = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def zero_layer(network: UNet) -> None:
    network.down1.maxpool_conv[1].double_conv[0].weight.data.zero_()


def dead_channels(network: UNet) -> None:
    network.down1.maxpool_conv[1].double_conv[0].weight.data[::2] = 0


def constant_normalisation(network: UNet) -> None:
    """Channels whose variance was always zero."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.zero_()


def rank_one(network: UNet) -> None:
    weight = network.down2.maxpool_conv[1].double_conv[3].weight.data
    weight.copy_(weight[:1].expand_as(weight).clone())


def all_zero(network: UNet) -> None:
    for parameter in network.parameters():
        parameter.data.zero_()


def tiny(network: UNet) -> None:
    for parameter in network.parameters():
        parameter.data.mul_(1e-30)


def huge(network: UNet) -> None:
    network.down1.maxpool_conv[1].double_conv[0].weight.data.mul_(1e15)  # BatchNorm brings it back


DAMAGES = [zero_layer, dead_channels, constant_normalisation, rank_one, all_zero, tiny, huge]


def damaged(damage) -> UNet:
    torch.manual_seed(0)
    network = UNet(1, 1, 4).eval()
    damage(network)
    if damage is huge:
        recalibrate_on_noise(network)
    return network


def recalibrate_on_noise(network: UNet) -> None:
    images = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 1), dtype=np.uint8)
    recalibrate(network, [PLAIN(images[:4]), PLAIN(images[4:])])


@pytest.mark.parametrize("scheme", ["channel", "spatial"])
@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_networks_at_the_limits_are_compressed_to_finite_ones(damage, rule, scheme):
    network = damaged(damage)
    result = compress(network, rule, spectra=decompose(network, scheme))
    assert all(tensor.isfinite().all() for tensor in result.network.state_dict().values())
    assert all(layer.rank is None or 1 <= layer.rank <= layer.full_rank for layer in result.layers)
    with torch.no_grad():
        assert result.network(IMAGES).isfinite().all()


@pytest.mark.parametrize("damage", [zero_layer, dead_channels, rank_one, all_zero])
def test_statistics_of_dead_networks_are_finite(damage):
    network = damaged(damage)
    statistics = collect_statistics(network, [IMAGES])
    result = compress(network, ParameterBudget(0.5), spectra=decompose(network, "auto", statistics=statistics))
    with torch.no_grad():
        assert result.network(IMAGES).isfinite().all()


@pytest.mark.parametrize("scheme", ["channel", "spatial"])
def test_half_precision_neither_overflows_nor_loses_the_network(scheme):
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 8, 3, padding=1)
    layer.weight.data.mul_(60_000 / layer.weight.abs().max())  # half precision ends at 65,504
    layer.half()
    assert layer.weight.isfinite().all()
    result = compress(layer, FixedRank(4), spectra=decompose(layer, scheme))
    factors = [tensor for name, tensor in result.network.state_dict().items() if name != "bias"]
    assert all(tensor.dtype == torch.half and tensor.isfinite().all() for tensor in factors)
    assert result.layers[0].error < 1
