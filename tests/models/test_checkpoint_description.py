"""What `network.json` says of the weights beside it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from models.checkpoint_description import description_beside
from models.checkpoint_file import CheckpointError
from models.networks.recipe import Recipe
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE
from torch_lowrank.compression import compress
from torch_lowrank.io import save_network
from torch_lowrank.narrowing import narrow
from torch_lowrank.quantization.quantize import quantize_weights
from torch_lowrank.ranks.rules import FixedRank

READ = Preprocessing(0.2, 0.1, channels=3, image_size=(64, 48), interpolation="cubic")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The weights of a U-Net as a run leaves them."""
    Variant(BASELINE, UNet(3, 2, base_filters=4), READ, 2).save(tmp_path / "networks" / "baseline")
    return tmp_path / "networks" / "baseline" / "weights.safetensors"


def rewrite(weights: Path, **fields: object) -> None:
    file = weights.with_name("network.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_our_network_is_described_with_its_images_and_classes(weights: Path) -> None:
    found = description_beside(weights)
    assert found is not None
    assert (found.named, found.constructor, found.preprocessing, found.classes) == (False, None, READ, 2)
    assert found.arguments["base_filters"] == 4


def test_a_named_network_is_described_by_its_recipe(tmp_path: Path) -> None:
    recipe = Recipe("torch.nn.Conv2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 1}, None)
    Variant(BASELINE, recipe.build(), READ, 1, recipe=recipe).save(tmp_path / "baseline")
    found = description_beside(tmp_path / "baseline" / "weights.safetensors")
    assert found is not None
    assert (found.named, found.constructor, found.arguments) == (True, "torch.nn.Conv2d", recipe.arguments)


def test_a_network_that_the_engine_alone_has_saved_says_no_more_than_it_knows(tmp_path: Path) -> None:
    save_network(nn.Sequential(nn.Conv2d(1, 1, 1)), tmp_path / "own")
    found = description_beside(tmp_path / "own" / "weights.safetensors")
    assert found is not None
    assert (found.named, found.constructor, found.preprocessing, found.classes) == (True, None, None, None)


def test_a_file_of_another_name_or_place_has_no_description(weights: Path, tmp_path: Path) -> None:
    assert description_beside(Path(shutil.copy(weights, tmp_path))) is None
    assert description_beside(Path(shutil.copy(weights, weights.with_name("other.safetensors")))) is None


def test_weights_that_were_replaced_are_not_taken_for_those_described(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is of other weights than weights\.safetensors.*without network\.json"):
        description_beside(weights)


@pytest.mark.parametrize("made", ["factorised", "few bits", "pruned"])
def test_a_compressed_network_is_refused_with_the_file_of_its_baseline(weights: Path, made: str) -> None:
    torch.manual_seed(0)
    dense = UNet(1, base_filters=4)
    small = compress(dense, FixedRank(1)).network if made == "factorised" else quantize_weights(dense, bits=8)
    if made == "pruned":
        narrow(small := dense, {"up4.conv.double_conv.1": {"num_features": 3}})
    other = weights.parent.with_name("other")
    save_network(small, other)
    with pytest.raises(CheckpointError, match=rf"compressed already \(.*{made}.*give {weights}"):
        description_beside(other / "weights.safetensors")


@pytest.mark.parametrize(
    "about",
    [
        {"network": 3},
        {"network": {"name": "a.B", "arguments": [1], "output": None}},
        {"preprocessing": {"mean": 0.1}},
        {"preprocessing": {"mean": 0.1, "std": -1}},
        {"classes": None},
    ],
)
def test_what_is_damaged_is_told(weights: Path, about: dict) -> None:
    rewrite(weights, about=about)
    with pytest.raises(CheckpointError, match=r"network\.json is damaged.*copy the file"):
        description_beside(weights)
    weights.with_name("network.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"damaged.*copy the file"):
        description_beside(weights)
