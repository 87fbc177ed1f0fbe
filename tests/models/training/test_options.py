"""Options of a training: what is refused, and the seeds of its epochs."""

from __future__ import annotations

import dataclasses

import pytest

from models.training.options import epoch_seed
from tests.models.training.small_training import OPTIONS


def test_seeds_differ_between_epochs_purposes_and_seeds():
    seeds = [
        epoch_seed(seed, epoch, use) for seed in (0, 1) for epoch in (0, 1) for use in ("shuffle", "augment", "dropout")
    ]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"optimizer": "sgd"}, "give one of adamw, adam"),
        ({"patience": 0}, "patience is 0"),
        ({"seed": -1}, "seed is -1; give an integer of at least 0"),
        ({"cpu_weight_gradients": "fast"}, "give one of winograd, torch"),
        ({"distillation": 1.5}, "distillation is 1.5; give a number from 0 to 1"),
        ({"distillation": float("nan")}, "distillation is nan"),
    ],
)
def test_options_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(OPTIONS, **changes)
