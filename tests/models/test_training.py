"""Training: learns, repeats itself, resumes as if nothing had happened, and stops when it must."""

from __future__ import annotations

import dataclasses
import logging
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from models import history as history_module
from models.evaluation import evaluate
from models.history import LAST_CHECKPOINT, AtomicCheckpointIO, EpochRecord, History
from models.lightning_module import build_loss, epoch_seed
from models.preprocessing import Preprocessing
from models.training import TrainingError, TrainingOptions, _Batches, fit
from models.unet import UNet

PLAIN = Preprocessing(mean=0.3, std=0.3)
OPTIONS = TrainingOptions(
    epochs=4,
    batch_size=4,
    lr=1e-2,
    weight_decay=1e-4,
    optimizer="adamw",
    schedule="one_cycle",
    loss="dice_ce",
    augment=True,
    patience=None,
    precision="32",
    seed=3,
    num_workers=0,
)


@dataclasses.dataclass
class Split:
    images: np.ndarray
    masks: np.ndarray


def make_split(number, seed, labels=2):
    """Bright squares on noise; the label of a square tells its brightness."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 60, (number, 16, 16, 1), dtype=np.uint8)
    masks = np.zeros((number, 16, 16), np.uint8)
    for index in range(number):
        row, column = random.integers(0, 9, 2)
        label = 1 + index % (labels - 1)
        masks[index, row : row + 7, column : column + 7] = label
        images[index, row : row + 7, column : column + 7, 0] += np.uint8(150 // (labels - 1) * label)
    return Split(images, masks)


TRAIN, VALID = make_split(9, 0), make_split(4, 1)


def train(folder, options=OPTIONS, classes=1, train=TRAIN, valid=VALID, **arguments):
    torch.manual_seed(0)
    network = UNet(1, classes, 4, dropout=0.2)
    result = fit(
        network, train, valid, PLAIN, options, classes=classes, checkpoint_dir=folder, device="cpu", **arguments
    )
    return network, result


def same_weights(first, second):
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def without_seconds(result):
    return [dataclasses.replace(record, seconds=0.0) for record in result.epochs]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return train(tmp_path_factory.mktemp("training"))


class Crash(Exception):
    pass


@pytest.fixture
def crash_after(monkeypatch):
    """Makes training fail in the middle of an epoch, after so many whole ones."""

    def arm(epochs):
        original = history_module.Recorder.on_train_epoch_start

        def fail(self, trainer, pl_module):
            if trainer.current_epoch == epochs:
                raise Crash
            original(self, trainer, pl_module)

        monkeypatch.setattr(history_module.Recorder, "on_train_epoch_start", fail)

    yield arm
    monkeypatch.undo()


@pytest.mark.parametrize("classes", [1, 3])
def test_a_network_learns_what_can_be_learned(tmp_path, classes):
    split, valid = make_split(24, 0, max(2, classes)), make_split(8, 1, max(2, classes))
    options = dataclasses.replace(OPTIONS, epochs=14)
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


def test_a_resumed_training_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path, uninterrupted, crash_after, monkeypatch
):
    with monkeypatch.context():
        crash_after(2)
        with pytest.raises(Crash):
            train(tmp_path)
    monkeypatch.undo()
    network, result = train(tmp_path)
    assert [record.epoch for record in result.epochs] == [0, 1, 2, 3]
    assert without_seconds(result) == without_seconds(uninterrupted[1])
    assert same_weights(network, uninterrupted[0])


def test_a_plateau_schedule_resumes_where_it_was(tmp_path, crash_after, monkeypatch):
    monkeypatch.setattr("models.lightning_module._PLATEAU_PATIENCE", 0)
    options = dataclasses.replace(OPTIONS, schedule="plateau", lr=0.5, epochs=5)
    whole, expected = train(tmp_path / "whole", options)
    assert len({record.lr for record in expected.epochs}) > 1
    crash_after(3)
    with pytest.raises(Crash):
        train(tmp_path / "parts", options)
    monkeypatch.undo()
    monkeypatch.setattr("models.lightning_module._PLATEAU_PATIENCE", 0)
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
    with pytest.raises(TrainingError, match="cannot be read.*delete"):
        train(tmp_path)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    train(tmp_path, dataclasses.replace(OPTIONS, epochs=1))
    with pytest.raises(TrainingError, match="left by a training with lr = 0.01, and this one has 0.02"):
        train(tmp_path, dataclasses.replace(OPTIONS, epochs=1, lr=0.02))


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


def test_training_stops_when_patience_ends_and_stays_stopped(tmp_path):
    options = dataclasses.replace(OPTIONS, epochs=8, patience=1, lr=1e-9, schedule="constant", augment=False)
    valid = Split(VALID.images, np.zeros_like(VALID.masks))
    valid.masks[:, 0, 0] = 1
    _, result = train(tmp_path, options, valid=valid)
    assert len(result.epochs) < 8
    assert len(result.epochs) == result.best_epoch + 2
    assert train(tmp_path, options, valid=valid)[1] == result


def test_the_weights_are_those_of_the_best_epoch(tmp_path):
    options = dataclasses.replace(OPTIONS, lr=0.3, schedule="constant", epochs=5)
    network, result = train(tmp_path, options)
    assert result.best_valid_dice == max(record.valid_dice for record in result.epochs)
    assert result.best_epoch < 4  # so that the last weights would not do
    metrics = evaluate(network, VALID.images, VALID.masks, PLAIN, classes=1, batch_size=4, device="cpu").metrics
    assert metrics["dice"] == pytest.approx(result.best_valid_dice, abs=1e-6)


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
        batches = _Batches(images, size, seed=0)
        assert [len(batch) for batch in batches] == expected
        assert len(batches) == len(expected)
        assert sorted(index for batch in batches for index in batch) == list(range(images))


def test_batches_are_shuffled_anew_each_epoch():
    batches = _Batches(50, 10, seed=0)
    first = list(batches)
    batches.set_epoch(1)
    assert list(batches) != first
    batches.set_epoch(0)
    assert list(batches) == first
    assert [index for batch in _Batches(50, 10, seed=None) for index in batch] == list(range(50))


def test_seeds_differ_between_epochs_purposes_and_seeds():
    seeds = [
        epoch_seed(seed, epoch, use) for seed in (0, 1) for epoch in (0, 1) for use in ("shuffle", "augment", "dropout")
    ]
    assert len(set(seeds)) == len(seeds)


def test_a_log_line_an_epoch_and_no_chatter(tmp_path, caplog, capfd):
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.INFO):
        warnings.simplefilter("always")
        train(tmp_path, dataclasses.replace(OPTIONS, epochs=2))
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "valid Dice" in lines[0]
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"optimizer": "sgd"}, "give one of adamw, adam"),
        ({"patience": 0}, "patience is 0"),
    ],
)
def test_options_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(OPTIONS, **changes)


def test_history_survives_a_round_trip():
    records = [EpochRecord(0, 1.0, 0.9, 0.5, 0.4, 1e-3, 2.0), EpochRecord(1, 0.8, 0.8, 0.7, 0.6, 1e-3, 2.0)]
    result = History(records)
    assert History.from_dict(result.to_dict()) == result
    assert result.to_dict()["best_epoch"] == 1
    assert History.from_dict(History().to_dict()) == History()


def test_of_epochs_alike_the_one_of_lower_loss_is_best():
    losses = (1.0, 0.8, 0.9)
    assert History([EpochRecord(i, 1.0, loss, 0.0, 0.0, 1e-3, 1.0) for i, loss in enumerate(losses)]).best_epoch == 1


@pytest.mark.parametrize(("name", "classes"), [("dice_ce", 1), ("dice_ce", 3), ("bce", 1), ("bce", 3)])
def test_a_loss_falls_as_the_prediction_improves(name, classes):
    masks = torch.from_numpy(make_split(2, 0, max(2, classes)).masks).long()
    target = nn.functional.one_hot(masks, max(2, classes)).permute(0, 3, 1, 2).float() * 2 - 1
    logits = target[:, 1:] if classes == 1 else target
    loss = build_loss(name, classes)
    assert loss(9 * logits, masks) < loss(logits, masks) < loss(-logits, masks)
    assert loss(20 * logits, masks) < 0.05


def test_a_missing_monai_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai.losses", None)
    with pytest.raises(ImportError, match="loss dice_ce needs MONAI"):
        build_loss("dice_ce", 1)
