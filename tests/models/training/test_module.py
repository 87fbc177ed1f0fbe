"""Losses, options and seeds."""

from __future__ import annotations

import dataclasses
import sys

import pytest
import torch
from torch import nn

from models.training.losses import build_loss
from models.training.options import epoch_seed
from tests.models.training.small_training import (
    OPTIONS,
    make_split,
)


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
        ({"distillation": 1.5}, "distillation is 1.5; give a number from 0 to 1"),
        ({"distillation": float("nan")}, "distillation is nan"),
    ],
)
def test_options_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(OPTIONS, **changes)


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
