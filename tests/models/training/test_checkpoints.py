"""Checkpoints: a resumed training ends like one that was not interrupted, and a training stops when it must."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.training.checkpoints import LAST_CHECKPOINT, AtomicCheckpointIO
from models.training.module import SegmentationModule
from models.training.options import TrainingError
from models.unet import UNet
from tests.models.training.small_training import (
    OPTIONS,
    same_weights,
    train,
    without_seconds,
)

pytestmark = pytest.mark.usefixtures("one_thread")


class CrashError(Exception):
    pass


@pytest.fixture
def crash_after(monkeypatch):
    """Makes training fail in the middle of an epoch, after so many whole ones."""

    def arm(epochs):
        original = SegmentationModule.training_step

        def fail(self, batch, batch_idx):
            if self.current_epoch == epochs and batch_idx == 1:
                raise CrashError
            return original(self, batch, batch_idx)

        monkeypatch.setattr(SegmentationModule, "training_step", fail)

    yield arm
    monkeypatch.undo()


def test_a_resumed_training_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path, uninterrupted, crash_after, monkeypatch
):
    crash_after(2)
    with pytest.raises(CrashError):
        train(tmp_path)
    monkeypatch.undo()
    network, result = train(tmp_path)
    assert [record.epoch for record in result.epochs] == [1, 2, 3, 4]
    assert without_seconds(result) == without_seconds(uninterrupted[1])
    assert same_weights(network, uninterrupted[0])


def test_a_plateau_schedule_resumes_where_it_was(tmp_path, crash_after, monkeypatch):
    monkeypatch.setattr("models.training.module._PLATEAU_PATIENCE", 0)
    options = dataclasses.replace(OPTIONS, schedule="plateau", lr=0.5, epochs=5)
    whole, expected = train(tmp_path / "whole", options)
    assert len({record.lr for record in expected.epochs}) > 1
    crash_after(3)
    with pytest.raises(CrashError):
        train(tmp_path / "parts", options)
    monkeypatch.undo()
    monkeypatch.setattr("models.training.module._PLATEAU_PATIENCE", 0)
    network, result = train(tmp_path / "parts", options)
    assert without_seconds(result) == without_seconds(expected)
    assert same_weights(network, whole)


def test_a_finished_training_is_not_repeated(tmp_path, uninterrupted, crash_after):
    _, first = train(tmp_path)
    crash_after(0)
    network, result = train(tmp_path)
    assert result == first
    assert same_weights(network, uninterrupted[0])


def test_without_resuming_an_old_checkpoint_is_removed(tmp_path):
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / LAST_CHECKPOINT).write_bytes(b"damaged")
    _, result = train(tmp_path / "left", dataclasses.replace(OPTIONS, epochs=1), resume=False)
    assert len(result.epochs) == 1


def test_a_damaged_checkpoint_is_refused_with_the_repair(tmp_path):
    (tmp_path / LAST_CHECKPOINT).write_bytes(b"damaged")
    with pytest.raises(TrainingError, match=r"cannot be read.*delete"):
        train(tmp_path)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    train(tmp_path, dataclasses.replace(OPTIONS, epochs=1))
    with pytest.raises(TrainingError, match=r"left by a training with lr = 0\.01, and this one has 0\.02"):
        train(tmp_path, dataclasses.replace(OPTIONS, epochs=1, lr=0.02))


def test_a_checkpoint_with_another_share_of_a_teacher_is_refused(tmp_path):
    teacher = UNet(1, 1, 2)
    train(tmp_path, dataclasses.replace(OPTIONS, epochs=1, distillation=0.5), teacher=teacher)
    with pytest.raises(TrainingError, match=r"distillation = 0\.5, and this one has 0\.25"):
        train(tmp_path, dataclasses.replace(OPTIONS, epochs=1, distillation=0.25), teacher=teacher)


def test_a_checkpoint_from_before_an_option_was_added_counts_as_one_with_its_default(
    tmp_path, uninterrupted, crash_after, monkeypatch
):
    crash_after(2)
    with pytest.raises(CrashError):
        train(tmp_path)
    monkeypatch.undo()
    checkpoint = torch.load(tmp_path / LAST_CHECKPOINT, weights_only=True)
    (recorded,) = [state for state in checkpoint["callbacks"].values() if "identity" in state]
    del recorded["identity"]["cpu_weight_gradients"]
    torch.save(checkpoint, tmp_path / LAST_CHECKPOINT)
    with pytest.raises(TrainingError, match="cpu_weight_gradients = winograd, and this one has torch"):
        train(tmp_path, dataclasses.replace(OPTIONS, cpu_weight_gradients="torch"))
    _, result = train(tmp_path)
    assert without_seconds(result) == without_seconds(uninterrupted[1])


def test_nothing_but_the_checkpoint_is_written_and_it_holds_plain_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(tmp_path / "folder", dataclasses.replace(OPTIONS, epochs=1))
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [
        "folder",
        f"folder/{LAST_CHECKPOINT}",
    ]
    torch.load(tmp_path / "folder" / LAST_CHECKPOINT, weights_only=True)


def test_a_checkpoint_that_fails_to_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path, writer = tmp_path / LAST_CHECKPOINT, AtomicCheckpointIO()
    writer.save_checkpoint({"epoch": 1}, path)

    def fill_the_disk(_, file):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", fill_the_disk)
    with pytest.raises(OSError, match="no space"):
        writer.save_checkpoint({"epoch": 2}, path)
    assert writer.load_checkpoint(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def scripted_scores(monkeypatch):
    """Makes validation give these Dice values, and returns the weights each epoch ended with."""

    def script(values):
        scores, weights = iter(values), []

        def means(module):
            weights.append({key: value.clone() for key, value in module.network.state_dict().items()})
            return {"train_loss": 1.0, "valid_loss": 1.0, "valid_dice": next(scores), "valid_iou": 0.0}

        monkeypatch.setattr(SegmentationModule, "epoch_means", means)
        monkeypatch.setattr(SegmentationModule, "on_validation_epoch_end", lambda _: None)
        return weights

    return script


def test_training_stops_when_patience_ends_and_stays_stopped(tmp_path, scripted_scores):
    scripted_scores([0.5, 0.7, 0.6, 0.65, 0.9])
    options = dataclasses.replace(OPTIONS, epochs=8, patience=2)
    _, result = train(tmp_path, options)
    assert [record.valid_dice for record in result.epochs] == [0.5, 0.7, 0.6, 0.65]
    assert (result.best_epoch, result.best_valid_dice) == (2, 0.7)
    assert train(tmp_path, options)[1] == result


def test_the_weights_are_those_of_the_best_epoch(tmp_path, scripted_scores):
    weights = scripted_scores([0.5, 0.7, 0.6])
    network, _ = train(tmp_path, dataclasses.replace(OPTIONS, epochs=3))
    same = [all(torch.equal(value, epoch[key]) for key, value in network.state_dict().items()) for epoch in weights]
    assert same == [False, True, False]


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.7, 0.5, 0.6], 0),
        ([0.5, 0.7, 0.6], 1),
    ],
)
def test_the_network_as_it_was_is_kept_where_no_epoch_is_better(tmp_path, scripted_scores, scores, best):
    weights = scripted_scores(scores)
    network, result = train(tmp_path, dataclasses.replace(OPTIONS, epochs=2, keep_start=True))
    assert [record.epoch for record in result.epochs] == [0, 1, 2]
    assert [record.train_loss is None for record in result.epochs] == [True, False, False]
    assert result.best_epoch == best
    assert all(torch.equal(value, weights[best][key]) for key, value in network.state_dict().items())


def test_a_training_that_keeps_its_start_goes_on_as_if_nothing_had_happened(tmp_path, crash_after, monkeypatch):
    options = dataclasses.replace(OPTIONS, epochs=3, keep_start=True)
    whole, expected = train(tmp_path / "whole", options)
    crash_after(2)
    with pytest.raises(CrashError):
        train(tmp_path / "parts", options)
    monkeypatch.undo()
    network, result = train(tmp_path / "parts", options)
    assert without_seconds(result) == without_seconds(expected)
    assert len(result.epochs) == 1 + options.epochs
    assert same_weights(network, whole)


def test_measuring_the_start_does_not_change_the_training(tmp_path, uninterrupted):
    _, result = train(tmp_path, dataclasses.replace(OPTIONS, keep_start=True))
    assert without_seconds(result)[1:] == without_seconds(uninterrupted[1])
