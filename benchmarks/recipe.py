"""The default options of trainings in benchmarks; without pydantic, which a GPU machine need not have."""

from __future__ import annotations

from models.training.options import TrainingOptions

RECIPE = TrainingOptions(
    epochs=1,
    batch_size=16,
    lr=1e-4,
    weight_decay=1e-4,
    optimizer="adamw",
    schedule="one_cycle",
    loss="dice_ce",
    augment="full",
    patience=None,
    precision="32",
    seed=0,
    num_workers=0,
)
