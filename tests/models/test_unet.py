"""The U-Net: its size, its shapes, its names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from models.unet import UNet, infer_arguments

SHARED_WEIGHTS = Path(__file__).parents[2] / "../shared/models/unet16_gray128.safetensors"

CONFIGURATIONS = [
    {"in_channels": 1, "classes": 1, "base_filters": 4, "bilinear": True},
    {"in_channels": 3, "classes": 4, "base_filters": 2, "bilinear": True},
    {"in_channels": 1, "classes": 2, "base_filters": 3, "bilinear": False},
    {"in_channels": 2, "classes": 1, "base_filters": 4, "bilinear": True, "wide_decoder": True},
]


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({"in_channels": 3, "classes": 1, "base_filters": 64}, 13_391_361),  # the reference's
        ({"in_channels": 1, "classes": 1, "base_filters": 64}, 13_390_209),
        ({"in_channels": 1, "classes": 1, "base_filters": 16}, 838_497),
        ({"in_channels": 3, "classes": 2, "base_filters": 64, "bilinear": False}, 31_037_698),  # the copied network's
        (
            {"in_channels": 3, "classes": 2, "base_filters": 64, "wide_decoder": True},
            17_263_042,
        ),  # and its bilinear one
    ],
)
def test_number_of_parameters_is_the_published_one(arguments, parameters):
    with torch.device("meta"):
        network = UNet(**arguments)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize("size", [(32, 32), (37, 51), (16, 16), (15, 40), (1, 1), (3, 100)])
@pytest.mark.parametrize("bilinear", [True, False])
def test_output_has_the_size_of_the_input(size, bilinear):
    network = UNet(1, 3, 2, bilinear).eval()
    assert network(torch.zeros(2, 1, *size)).shape == (2, 3, *size)


def test_skip_connection_comes_first():
    network = UNet(1, 1, 2).eval()
    seen = []
    network.up4.conv.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.inc.register_forward_hook(lambda *call: seen.append(call[2]))
    network(torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)))
    skip, concatenated = seen
    torch.testing.assert_close(concatenated[:, :2], skip)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    network, images = UNet(1, 1, 4, dropout=0.5), torch.randn(2, 1, 32, 32)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_arguments_are_inferred_from_a_state_dict(configuration):
    network = UNet(**configuration)
    assert infer_arguments(network.state_dict()) == network.arguments


def test_arguments_rebuild_the_network():
    network = UNet(2, 3, 4, bilinear=False, dropout=0.25)
    rebuilt = UNet(**network.arguments)
    rebuilt.load_state_dict(network.state_dict())
    assert rebuilt.arguments == network.arguments


def test_from_state_dict_ignores_what_is_no_tensor():
    network = UNet(1, 1, 2).eval()
    rebuilt = UNet.from_state_dict({**network.state_dict(), "mask_values": [0, 1]}).eval()
    images = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rebuilt(images), network(images), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("up2.conv.double_conv.3.weight"), "missing: up2.conv.double_conv.3.weight"),
        (lambda state: state.update({"extra.weight": torch.zeros(1)}), "unexpected: extra.weight"),
        (lambda state: state.update({"outc.conv.bias": torch.zeros(7)}), r"of another shape: outc.conv.bias \(7,\)"),
        (lambda state: state.clear(), "missing: inc.double_conv.0.weight"),
    ],
)
def test_a_foreign_state_dict_is_refused_by_name(change, message):
    state = UNet(1, 1, 2).state_dict()
    change(state)
    with pytest.raises(ValueError, match=message):
        infer_arguments(state)


def test_the_prefix_of_data_parallel_is_named():
    state = nn.DataParallel(UNet(1, 1, 2)).state_dict()
    with pytest.raises(ValueError, match=r"strip that prefix"):
        infer_arguments(state)


def test_files_of_old_torch_without_batch_counters_load():
    state = {k: v for k, v in UNet(1, 1, 2).state_dict().items() if not k.endswith("num_batches_tracked")}
    assert UNet.from_state_dict(state).arguments["base_filters"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "in_channels is 0"),
        ({"base_filters": 3}, "give an even number"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        UNet(**arguments)


def test_images_of_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"takes \(N, 1, H, W\)"):
        UNet(1, 1, 2)(torch.zeros(1, 3, 32, 32))


def test_one_small_image_is_refused_in_training_with_the_repair():
    network = UNet(1, 1, 2)
    with pytest.raises(ValueError, match="batch size of at least 2"):
        network(torch.zeros(1, 1, 31, 31))
    network(torch.zeros(1, 1, 31, 32))
    network(torch.zeros(2, 1, 16, 16))
    network.eval()(torch.zeros(1, 1, 16, 16))


@pytest.mark.skipif(not SHARED_WEIGHTS.exists(), reason="the shared weights are not here")
def test_the_shared_weights_load_strictly():
    state = load_file(SHARED_WEIGHTS)
    network = UNet(in_channels=1, classes=1, base_filters=16)
    network.load_state_dict(state, strict=True)
    assert infer_arguments(state) == network.arguments
