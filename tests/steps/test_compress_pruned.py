"""The step that prunes, through its entry point."""

import dataclasses
import types

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.preprocessing import Preprocessing
from models.pruning.channels import PruningError
from models.round_variant import round_variant
from models.training.fit import fit
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE, VariantSpec
from steps.compress_pruned import compress_pruned
from tests.models.training.small_training import OPTIONS
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.ranks.costs import count_macs

SPEC = VariantSpec("pruned", budget=0.4)


class Split:
    """Stored images, of which the bright half is lesion."""

    def __init__(self, seed: int) -> None:
        self.images = np.random.default_rng(seed).integers(0, 256, (6, 32, 32, 1), dtype=np.uint8)
        self.masks = (self.images[..., 0] > 127).astype(np.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, number: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).permutation(len(self.images))[:number]


class Data(dict):
    """Splits, as a stored data set has them."""

    manifest = types.SimpleNamespace(channels=1, image_size=(32, 32))
    classes = 1


DATA = Data(train=Split(0), valid=Split(1))


@pytest.fixture(scope="module")
def baseline() -> Variant:
    """A network that has learned nothing."""
    torch.manual_seed(0)
    return Variant(BASELINE, UNet(base_filters=4).eval(), Preprocessing(0.5, 0.3), 1)


@pytest.fixture(scope="module")
def pruned(baseline: Variant) -> Variant:
    """Two fifths of it."""
    return compress_pruned.entrypoint(DATA, baseline, SPEC, "bce", 3, 0, "cpu")


def test_it_meets_its_share_and_says_how(baseline: Variant, pruned: Variant) -> None:
    assert 0.35 * baseline.params < pruned.params <= 0.4 * baseline.params
    assert (pruned.name, pruned.spec.statistics_images, pruned.layers) == ("pruned_0.4", 3, [])


def test_it_is_loaded_as_it_was_saved(pruned: Variant, tmp_path) -> None:
    pruned.save(tmp_path / "network")
    loaded = Variant.load(tmp_path / "network")
    images = torch.rand(2, 1, 32, 32)
    assert torch.equal(loaded.network(images), pruned.network.eval()(images))
    assert (loaded.digest(), loaded.spec) == (pruned.digest(), pruned.spec)


def test_it_keeps_a_share_of_the_macs_too(baseline: Variant) -> None:
    spec = VariantSpec("pruned", budget=0.9, mac_budget=0.5)
    both = compress_pruned.entrypoint(DATA, baseline, spec, "bce", 2, 0, "cpu")
    assert count_macs(both.network, (1, 32, 32)) <= 0.5 * count_macs(baseline.network, (1, 32, 32))
    assert both.name == "pruned_0.9_macs_0.5"


def test_it_can_be_trained_on(pruned: Variant, tmp_path) -> None:
    pruned.save(tmp_path / "network")
    network = Variant.load(tmp_path / "network").network
    options = dataclasses.replace(OPTIONS, epochs=1, batch_size=3, augment="none")
    data = (DATA["train"], DATA["valid"], pruned.preprocessing, options)
    fit(network, *data, classes=1, checkpoint_dir=tmp_path / "checkpoints", device="cpu")
    assert [each.shape for each in network.parameters()] == [each.shape for each in pruned.network.parameters()]
    assert not torch.equal(network.outc.conv.weight, pruned.network.outc.conv.weight)


def test_its_twin_in_few_bits_is_rounded_without_statistics_of_channels_that_are_gone(
    baseline: Variant, pruned: Variant
) -> None:
    statistics = collect_statistics(baseline.network, [torch.rand(2, 1, 32, 32)], seed=0)
    assert round_variant(pruned, 8, statistics).name == "pruned_0.4_w8"


class Fixed(nn.Module):
    """Computes with as many channels as it is written for."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).reshape(len(x), 4, *x.shape[2:]))


def test_a_network_that_cannot_be_pruned_is_refused_with_variant_and_flag(baseline: Variant) -> None:
    fixed = Variant(BASELINE, Fixed().eval(), baseline.preprocessing, 1)
    with pytest.raises(PruningError, match=r"pruned_0\.4: no channel .* by --pruned, or leave it out"):
        compress_pruned.entrypoint(DATA, fixed, SPEC, "bce", 1, 0, "cpu")
