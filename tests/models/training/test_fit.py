"""Training: learns, repeats itself, refuses what it cannot learn from, and leaves no trace."""

from __future__ import annotations

import dataclasses
import logging
import sys
import warnings

import pytest
import torch
from torch import nn

from models.evaluation.evaluate import evaluate
from models.training.batches import Batches
from models.training.fit import fit
from models.training.module import SegmentationModule
from models.training.options import TrainingError
from models.unet import UNet
from tests.models.training.small_training import (
    OPTIONS,
    PLAIN,
    TRAIN,
    VALID,
    Split,
    make_split,
    same_weights,
    train,
    without_seconds,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("classes", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_network_learns_what_can_be_learned(tmp_path, classes):
    split, valid = make_split(48, 0, max(2, classes)), make_split(8, 1, max(2, classes))
    options = dataclasses.replace(OPTIONS, epochs=30, lr=1e-2, augment="none")
    network, result = train(tmp_path, options, classes, split, valid)
    assert result.epochs[-1].train_loss < result.epochs[0].train_loss
    assert result.best_valid_dice > 0.8
    metrics = evaluate(network, valid.images, valid.masks, PLAIN, classes=classes, batch_size=3, device="cpu").metrics
    assert metrics["dice"] == pytest.approx(result.best_valid_dice, abs=1e-3)


@pytest.mark.parametrize(
    "changes", [{"loss": "bce", "optimizer": "adam", "schedule": "plateau"}, {"schedule": "constant"}]
)
def test_other_recipes_train(tmp_path, changes):
    _, result = train(tmp_path, dataclasses.replace(OPTIONS, epochs=2, **changes))
    assert [record.lr for record in result.epochs] == [1e-2, 1e-2]


def test_one_seed_gives_the_same_weights(tmp_path, uninterrupted):
    network, result = train(tmp_path)
    assert same_weights(network, uninterrupted[0])
    assert without_seconds(result) == without_seconds(uninterrupted[1])


def test_another_seed_gives_other_weights(tmp_path, uninterrupted):
    network, _ = train(tmp_path, dataclasses.replace(OPTIONS, seed=4))
    assert not same_weights(network, uninterrupted[0])


def test_reading_in_worker_processes_changes_nothing(tmp_path, uninterrupted):
    network, _ = train(tmp_path, dataclasses.replace(OPTIONS, num_workers=1))
    assert same_weights(network, uninterrupted[0])


def test_an_interrupt_stays_an_interrupt(tmp_path, monkeypatch):
    """Lightning would make an exit with status 1 of it."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SegmentationModule, "training_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)


def test_a_loss_that_is_not_finite_stops_training_and_says_where(tmp_path):
    class Overflow(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return x * self.weight * float("inf")

    with pytest.raises(TrainingError, match="loss is nan in epoch 1, batch 1"):
        fit(Overflow(), TRAIN, VALID, PLAIN, OPTIONS, classes=1, checkpoint_dir=tmp_path, device="cpu")


def test_the_network_comes_back_in_its_mode_and_layout_and_randomness_is_untouched(tmp_path):
    torch.manual_seed(0)
    network = UNet(1, 1, 4).eval()
    before = torch.random.get_rng_state()
    options = dataclasses.replace(OPTIONS, epochs=1)
    fit(network, TRAIN, VALID, PLAIN, options, classes=1, checkpoint_dir=tmp_path, device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not any(module.training for module in network.modules())
    assert all(parameter.is_contiguous() for parameter in network.parameters())


def test_batches_hold_every_image_once_and_none_is_alone():
    for images, size, expected in ((9, 4, [4, 5]), (10, 4, [4, 4, 2]), (1, 4, [1]), (3, 1, [1, 1, 1]), (4, 4, [4])):
        batches = Batches(images, size, seed=0)
        assert [len(batch) for batch in batches] == expected
        assert len(batches) == len(expected)
        assert sorted(index for batch in batches for index in batch) == list(range(images))


def test_batches_are_shuffled_anew_each_epoch():
    batches = Batches(50, 10, seed=0)
    first = list(batches)
    batches.set_epoch(1)
    assert list(batches) != first
    batches.set_epoch(0)
    assert list(batches) == first
    assert [index for batch in Batches(50, 10, seed=None) for index in batch] == list(range(50))


def test_a_log_line_an_epoch_and_no_chatter(tmp_path, caplog, capfd):
    masks = VALID.masks.copy()
    masks[0] = 0  # an image on which finding nothing is right
    one_empty = Split(VALID.images, masks)
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.INFO):
        warnings.simplefilter("always")
        _, history = train(tmp_path, dataclasses.replace(OPTIONS, epochs=2), valid=one_empty)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert history.epochs[0].valid_dice > history.epochs[0].judged
    for line, epoch in zip(lines, history.epochs, strict=True):
        assert f"valid Dice on lesions {epoch.judged:.4f}, " in line, "what the best epoch is chosen by"
    assert [str(warning.message) for warning in caught if "lightning" in warning.filename] == []
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_a_progress_bar_instead(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with caplog.at_level(logging.INFO):
        train(tmp_path, dataclasses.replace(OPTIONS, epochs=1))
    assert caplog.records == []


def test_masks_with_labels_out_of_range_are_refused_by_image(tmp_path):
    masks = TRAIN.masks.copy()
    masks[5, 2, 2] = 7
    with pytest.raises(ValueError, match="mask of image 5 holds label 7; with 2 labels give 0 to 1"):
        train(tmp_path, train=Split(TRAIN.images, masks))


@pytest.mark.parametrize(
    "split",
    [
        Split(TRAIN.images[:0], TRAIN.masks[:0]),
        Split(TRAIN.images, TRAIN.masks[:4]),
        Split(TRAIN.images / 255, TRAIN.masks),
    ],
)
def test_splits_that_cannot_be_trained_on_are_refused(tmp_path, split):
    with pytest.raises(ValueError, match=r"^valid: images"):
        train(tmp_path, valid=split)
