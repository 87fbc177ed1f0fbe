"""The trainings of a run: the main one, and further ones of other widths and seeds."""

from __future__ import annotations

import dataclasses
import itertools

from configs.schema import RunConfig


@dataclasses.dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        filters: Filters of the U-Net's first level, where the width is not the main training's; else None.
        seed: Its seed, where it is not the main training's; else None.
        config: The run as if this were its only training. Its data are those of the whole run.
    """

    filters: int | None
    seed: int | None
    config: RunConfig

    @property
    def is_main(self) -> bool:
        """Whether this is the first training, whose dense network is the baseline."""
        return self.filters is None and self.seed is None


def trainings_of(config: RunConfig) -> list[Training]:
    """Returns all trainings of a run, the main one first: every width by every seed."""
    widths = (None, *config.model.further_filters)
    seeds = (None, *config.seeds[1:])
    return [Training(width, seed, _alone(config, width, seed)) for width, seed in itertools.product(widths, seeds)]


def _alone(config: RunConfig, filters: int | None, seed: int | None) -> RunConfig:
    width = config.model.base_filters if filters is None else filters
    model = config.model.model_copy(update={"base_filters": width, "further_filters": ()})
    return config.model_copy(
        update={"model": model, "seed": config.seed if seed is None else seed, "seeds": ()},
    )
