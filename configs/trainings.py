"""The trainings of a run: the main one, and further ones of other widths and seeds, some of them taught by it."""

from __future__ import annotations

import dataclasses
import itertools

from configs.distillation import DistillNarrowConfig
from configs.schema import RunConfig


@dataclasses.dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        filters: Filters of the U-Net's first level, where the width is not the main training's; else None.
        seed: Its seed, where it is not the main training's; else None.
        config: The run as if this were its only training. Its data are those of the whole run.
        distilled: Weight of its teacher's predictions in its loss; None where it has no teacher, which is the dense
            network of the main width by the same seed.
    """

    filters: int | None
    seed: int | None
    config: RunConfig
    distilled: float | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is the first training, whose dense network is the baseline."""
        return self.filters is None and self.seed is None

    def teaches(self, other: Training) -> bool:
        """Whether this training's network is the other one's teacher."""
        return other.distilled is not None and self.filters is None and self.seed == other.seed


def trainings_of(config: RunConfig) -> list[Training]:
    """Returns all trainings of a run, the main one first: every width by every seed; teachers before the taught."""
    widths: list[tuple[int | None, float | None]] = [(None, None)]
    for filters in config.model.further_filters:
        widths.append((filters, None))
        if config.distill_narrow.enabled and filters < config.model.base_filters:
            widths.append((filters, config.distill_narrow.share))
    every = itertools.product(widths, (None, *config.seeds[1:]))
    return [Training(width, seed, _alone(config, width, seed), share) for (width, share), seed in every]


def _alone(config: RunConfig, filters: int | None, seed: int | None) -> RunConfig:
    width = config.model.base_filters if filters is None else filters
    model = config.model.model_copy(update={"base_filters": width, "further_filters": ()})
    main = config.seed if seed is None else seed
    return config.model_copy(
        update={"model": model, "seed": main, "seeds": (), "distill_narrow": DistillNarrowConfig()},
    )
