"""Images and masks that say nothing, and a training that diverges: figures stay finite, or an error says why."""

import dataclasses

import numpy as np
import pytest
from safetensors.torch import load_file

from models.evaluation.evaluate import evaluate
from models.training.checkpoints import BEST_WEIGHTS
from models.training.module import SegmentationModule
from models.training.options import TrainingError
from tests.models.training.small_training import OPTIONS, PLAIN, TRAIN, VALID, Split, train

pytestmark = pytest.mark.usefixtures("one_thread")


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
