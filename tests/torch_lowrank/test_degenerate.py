"""Weights and images that say nothing, or too much: every number stays finite, or is an error that says so."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from models.evaluation.evaluate import evaluate
from models.training.checkpoints import BEST_WEIGHTS
from models.training.module import SegmentationModule
from models.training.options import TrainingError
from models.unet import UNet
from tests.models.training.small_training import OPTIONS, PLAIN, TRAIN, VALID, Split, train
from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.ranks.budgets import ParameterBudget
from torch_lowrank.ranks.rules import Energy, Entropy, FixedRank, RankRatio
from torch_lowrank.recalibration import recalibrate

pytestmark = pytest.mark.usefixtures("one_thread")

RULES = [FixedRank(2), RankRatio(0.3), Energy(0.9), Entropy(0.9), Entropy(0.9, "sigma"), ParameterBudget(0.5)]
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
def test_what_the_loss_feels_of_dead_networks_is_finite(damage):
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


@pytest.mark.parametrize("value", [0, 137, 255])
def test_constant_images_train_and_are_measured(tmp_path, value):
    flat = Split(np.full_like(TRAIN.images, value), TRAIN.masks)
    network, history = train(tmp_path, dataclasses.replace(OPTIONS, epochs=2), train=flat, valid=flat)
    assert all(np.isfinite([epoch.train_loss, epoch.valid_loss, epoch.valid_dice]).all() for epoch in history.epochs)
    found = evaluate(network, flat.images, flat.masks, PLAIN, classes=1, batch_size=4, device="cpu")
    assert all(np.isfinite(value) for value in found.metrics.values())


def test_masks_without_any_object_train_and_are_measured(tmp_path):
    empty = Split(TRAIN.images, np.zeros_like(TRAIN.masks))
    network, history = train(tmp_path, dataclasses.replace(OPTIONS, epochs=2), train=empty, valid=empty)
    assert all(np.isfinite(epoch.train_loss) for epoch in history.epochs)
    found = evaluate(network, empty.images, empty.masks, PLAIN, classes=1, batch_size=4, device="cpu")
    assert 0 <= found.metrics["dice"] <= 1


def test_evaluating_twice_gives_the_same_numbers_to_the_last_bit(uninterrupted):
    network, _ = uninterrupted
    first, second = (
        evaluate(network, VALID.images, VALID.masks, PLAIN, classes=1, batch_size=3, device="cpu") for _ in range(2)
    )
    assert first.metrics == second.metrics
    assert np.array_equal(first.per_image["dice"], second.per_image["dice"])


def test_a_training_that_diverges_keeps_its_best_network(tmp_path, monkeypatch, uninterrupted):
    """It stops in its third epoch, and two were good."""
    step = SegmentationModule.training_step

    def diverging(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        return self._checked(loss * float("nan"), "loss", batch_idx) if self.current_epoch == 2 else loss

    monkeypatch.setattr(SegmentationModule, "training_step", diverging)
    with pytest.raises(TrainingError, match=r"loss is nan in epoch 3, batch 1.*the best network until then, of epoch"):
        train(tmp_path)
    kept = load_file(tmp_path / BEST_WEIGHTS)
    assert kept.keys() == uninterrupted[0].state_dict().keys()
    assert all(tensor.isfinite().all() for tensor in kept.values())
