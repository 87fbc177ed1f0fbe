"""Costs, against numbers computed by hand."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.evaluation.cost import macs, measure_cost, weights_size_bytes
from models.unet import UNet
from torch_lowrank.layers.factorized import count_parameters


@pytest.mark.parametrize(
    # input (C, H, W), layer, multiply-accumulates
    ("shape", "layer", "expected"),
    [
        ((3, 8, 10), nn.Conv2d(3, 5, 3, padding=1), 8 * 10 * 5 * 3 * 9),
        ((4, 8, 8), nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), 4 * 4 * 6 * 2 * 9),
        ((4, 8, 8), nn.ConvTranspose2d(4, 2, 2, stride=2), 8 * 8 * 4 * 2 * 4),
        # channel scheme at rank 2: 2 (3 * 9 + 5) parameters, each used once a pixel
        ((3, 8, 8), nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, bias=False), nn.Conv2d(2, 5, 1)), 64 * 2 * (27 + 5)),
        ((1, 4, 4), nn.Sequential(nn.Flatten(), nn.Linear(16, 7)), 16 * 7),
        ((2, 4, 4), nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()), 0),
    ],
)
def test_macs_match_the_formula(shape, layer, expected):
    assert macs(layer, shape) == expected


def test_macs_grow_with_the_area():
    network = UNet(1, 1, 2)
    assert macs(network, (1, 64, 32)) == 2 * macs(network, (1, 32, 32))


def test_size_is_that_of_the_saved_file(tmp_path):
    network = UNet(1, 1, 4)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    expected = (tmp_path / "weights.safetensors").stat().st_size
    assert weights_size_bytes(network) == expected
    assert weights_size_bytes(network.to(memory_format=torch.channels_last)) == expected
    assert expected > 4 * count_parameters(network)


def test_parameters_are_counted_once():
    layer = nn.Linear(3, 2)
    assert count_parameters(layer) == 8
    assert count_parameters(nn.ModuleList([layer, layer])) == 8


def test_measuring_leaves_the_network_as_it_was():
    network = UNet(1, 1, 2).train()
    network.up2.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    cost = measure_cost(network, (1, 32, 32))
    assert network.training
    assert not network.up2.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert cost.params == count_parameters(network)
    assert cost.macs == macs(network, (1, 32, 32))


def test_a_shape_with_a_batch_dimension_is_refused():
    with pytest.raises(ValueError, match=r"give \(channels, height, width\)"):
        macs(nn.Conv2d(1, 1, 1), (1, 1, 4, 4))
