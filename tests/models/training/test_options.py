"""Options of a training: what is refused, and the seeds of its epochs."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from pydantic import ValidationError

from configs.sections import TrainingConfig
from models.training.options import TrainingOptions, epoch_seed
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


def test_the_configuration_has_the_same_fields_and_allows_the_same_values():
    """Two classes describe a training: one for users, by pydantic, and one for `fit`, without pydantic."""
    names = {field.name for field in dataclasses.fields(TrainingOptions)}
    assert {*TrainingConfig.model_fields} == names - {"seed", "num_workers", "distillation", "keep_start"}
    hints = get_type_hints(TrainingOptions)
    choices = {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}
    assert len(choices) == 6
    for name, values in choices.items():
        assert get_args(TrainingConfig.model_fields[name].annotation) == values


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("batch_size", 0), ("lr", 0.0), ("weight_decay", -0.1), ("patience", 0), ("devices", 0)],
)
def test_what_options_refuse_the_configuration_refuses(name, value):
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(OPTIONS, **{name: value})
    with pytest.raises(ValidationError, match=name):
        TrainingConfig(**{name: value})
