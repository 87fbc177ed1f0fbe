"""Losses against masks; those against a teacher are in test_distillation.py."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from models.training.losses import build_loss
from tests.models.training.small_training import make_split


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
