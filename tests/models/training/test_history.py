"""Histories: which epoch is best, when a training is over, and the way to plain data and back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from models.training.history import EpochRecord, History


@pytest.mark.parametrize(
    ("scores", "epochs", "patience", "over"),
    [
        ([], 3, 1, False),
        ([0.1], 3, 1, False),
        ([0.2, 0.1], 3, 1, True),
        ([0.2, 0.1], 3, 2, False),
        ([0.2, 0.1, 0.1], 9, 2, True),
        ([0.2, 0.1, 0.3], 9, 2, False),
        ([0.2, 0.1, 0.1], 3, None, True),
        ([0.2, 0.1, 0.1], 4, None, False),
    ],
)
def test_a_training_is_over_after_its_epochs_or_its_patience(scores, epochs, patience, over):
    records = [EpochRecord(index, 1.0, 1.0, score, 0.0, 1e-3, 1.0) for index, score in enumerate(scores, 1)]
    assert History(records).is_over(epochs, patience) is over


def test_history_survives_a_round_trip():
    records = [EpochRecord(1, 1.0, 0.9, 0.5, 0.4, 1e-3, 2.0), EpochRecord(2, 0.8, 0.8, 0.7, 0.6, 1e-3, 2.0)]
    result = History(records)
    assert History.from_dict(result.to_dict()) == result
    assert result.to_dict()["best_epoch"] == 2
    assert History.from_dict(History().to_dict()) == History()


def test_of_epochs_alike_the_one_of_lower_loss_is_best():
    losses = (1.0, 0.8, 0.9)
    records = [EpochRecord(i, 1.0, loss, 0.0, 0.0, 1e-3, 1.0) for i, loss in enumerate(losses, 1)]
    assert History(records).best_epoch == 2


def test_the_best_epoch_is_none_that_finds_nothing_where_another_finds_something():
    """Where most images have no lesion, an epoch that finds nothing has the higher Dice."""
    found = [(0.9, 0.0), (0.4, 0.3), (0.5, 0.2)]
    records = [EpochRecord(i, 1.0, 1.0, dice, 0.0, 1e-3, 1.0, lesion) for i, (dice, lesion) in enumerate(found, 1)]
    assert History(records).best_epoch == 2
    assert History(records).to_dict()["best_valid_dice_lesion"] == 0.3
    assert History(records).is_over(9, patience=1)
    nowhere = [EpochRecord(i, 1.0, 1.0, dice, 0.0, 1e-3, 1.0, None) for i, dice in enumerate((0.5, 0.7, 0.6), 1)]
    assert History(nowhere).best_epoch == 2, "where no validation image has a lesion, by all images"


def test_a_history_needs_no_training_library():
    """Steps that only read histories would otherwise load Lightning, which takes seconds."""
    code = "import sys, models.training.history; sys.exit(any(name in sys.modules for name in ('lightning', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
