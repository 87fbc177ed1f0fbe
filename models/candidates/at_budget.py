"""The networks that a budget of parameters can have, and how each is judged: as it will be used."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.candidates.best import best_of
from models.candidates.reconstruct_variant import reconstruct_variant
from models.compress_variant import budget_rule, compress_variant
from models.evaluation.evaluate import evaluate_variant
from models.recalibrate_variant import recalibrate_variant
from models.variant import Variant
from models.variant_spec import Allocation, VariantSpec
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.ranks.budgets import BudgetError

# Of Dice. Where a network loses no more, no other one is looked for; and none takes its place for less, as so small a
# difference of a few hundred validation images is often chance.
_MARGIN = 0.01


class Split(Protocol):
    """Images and their truth, of which some can be drawn."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """Images, uint8 (N, H, W, C)."""

    @property
    def masks(self) -> NDArray[np.uint8]:
        """Labels, uint8 (N, H, W)."""

    def sample(self, number: int, seed: int) -> NDArray[np.intp]:
        """Returns the indices of at most a number of images, the same ones by the same seed."""


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Makes and judges networks of one budget.

    Args:
        baseline: What is compressed.
        spectra: Of it, weighted.
        statistics: What they were weighted with.
        train: What reconstructs, and recalibrates what is judged.
        valid: What judges.
        spec: What is made, without the budget where that is searched for.
        recalibration_images: Training images that each network is recalibrated with before it is judged; 0 for none.
        batch_size: Images a forward pass.
        seed: Of the choice of these images.
        device: Where to compute.
    """

    baseline: Variant
    spectra: Spectra
    statistics: Statistics
    train: Split
    valid: Split
    spec: VariantSpec
    recalibration_images: int
    batch_size: int
    seed: int
    device: str

    def of(self, budget: float) -> Iterator[Variant]:
        """Yields networks of at most a share of the parameters, made one after the other, the cheapest first.

        Ranks allocated over the whole network; the same ranks, reconstructed; one rank for all layers, reconstructed.
        The latter two are left out where they cannot be made: a single image does not tell BatchNorm's statistics, one
        rank for all may not fit or not keep the multiply-accumulates, and errors too large cannot be fitted.

        Raises:
            BudgetError: The budget cannot be met; the message names the variant.
        """
        allocated = self._truncated(budget, "global")
        yield allocated
        if self.statistics.images < 2:
            return
        with contextlib.suppress(FloatingPointError):
            yield self._reconstructed(allocated)
        if self.spec.mac_budget is None:
            with contextlib.suppress(BudgetError, FloatingPointError):
                yield self._reconstructed(self._truncated(budget, "one rank"))

    def best(self, budget: float, judged: str, dense: float) -> Variant:
        """Returns the best of these networks; a later one counts only if it has more than 0.01 more.

        None is made after one that loses at most 0.01.

        Args:
            budget: The share.
            judged: The metric.
            dense: Its value, over the same images, of the baseline.

        Raises:
            BudgetError: The budget cannot be met; the message names the variant.
        """
        candidates, enough = self.of(budget), dense - _MARGIN
        return best_of(candidates, lambda variant: self.measured(variant)[judged], enough=enough, margin=_MARGIN)

    def measured(self, variant: Variant) -> dict[str, float]:
        """Returns a network's metrics over the validation images, recalibrated as it will be; it is not changed.

        Raises:
            FloatingPointError: It gives no finite numbers.
        """
        used = dataclasses.replace(variant, network=copy.deepcopy(variant.network))
        if self.recalibration_images:
            chosen = self.train.sample(self.recalibration_images, self.seed)
            used = recalibrate_variant(used, self.train.images, chosen, self.batch_size, self.device)
        return self.evaluated(used)

    def evaluated(self, variant: Variant) -> dict[str, float]:
        """Returns a network's metrics over the validation images, as it is."""
        return evaluate_variant(variant, self.valid.images, self.valid.masks, self.batch_size, self.device).metrics

    def _truncated(self, budget: float, allocation: Allocation) -> Variant:
        images = self.statistics.images
        made = dataclasses.replace(self.spec, budget=budget, statistics_images=images, allocation=allocation)
        _, height, width, channels = self.train.images.shape
        rule = budget_rule(made, (channels, height, width))
        return compress_variant(self.baseline, self.spectra, rule, made, statistics=self.statistics, device=self.device)

    def _reconstructed(self, variant: Variant) -> Variant:
        return reconstruct_variant(
            variant,
            self.baseline,
            self.train.images,
            self.train.sample(self.statistics.images, self.seed),
            statistics=self.statistics,
            batch_size=self.batch_size,
            device=self.device,
        )
