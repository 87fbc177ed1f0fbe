"""The comparison as rows of a table, for the terminal and the report."""

from __future__ import annotations

import dataclasses
import math

from analysis.comparison import Comparison
from analysis.intervals import Interval
from analysis.ranking import metric
from models.evaluation.results import Latency
from models.variant_spec import BASELINE

METRICS = ("dice", "iou", "pixel_accuracy", "precision", "recall", "hausdorff95_px")


@dataclasses.dataclass(frozen=True)
class VariantRow:
    """One line of the comparison; None stands for a value that is unknown.

    Attributes:
        name: The variant's name.
        method: `baseline`, `svd`, `arsvd` or `budget`.
        metrics: Each of `METRICS` to its value.
        dice_interval: 95 % interval of the mean Dice.
        iou_interval: The same of IoU.
        dice_change: Dice minus the baseline's over the same images; None for the baseline.
        iou_change: The same of IoU.
        dice_before: Mean Dice straight after truncation, before the network was recalibrated or fine-tuned.
        iou_before: Mean IoU, likewise.
        by_lesion: Size of lesions to Dice on the images that have such; empty where it is not known.
        params: Number of parameters.
        reduction_pct: Parameters saved against the baseline, in percent.
        size_mb: Size of the weights file, in 10^6 bytes.
        macs: Multiply-accumulates for one image.
        latency: Time for one image, beside the baseline's.
        on_front: Whether it is on the Pareto front of parameters and Dice.
        chosen: Whether it is the recommended network.
    """

    name: str
    method: str
    metrics: dict[str, float | None]
    dice_interval: Interval | None
    iou_interval: Interval | None
    dice_change: Interval | None
    iou_change: Interval | None
    dice_before: float | None
    iou_before: float | None
    by_lesion: dict[str, Interval]
    params: int
    reduction_pct: float | None
    size_mb: float
    macs: int | None
    latency: Latency | None
    on_front: bool
    chosen: bool

    @property
    def takes_as_long(self) -> bool:
        """Whether a variant's time is not told apart from the baseline's."""
        return self.latency is not None and not self.latency.differs and self.method != BASELINE.method


def variant_rows(comparison: Comparison) -> list[VariantRow]:
    """Returns one row a variant, in reading order."""
    full = comparison.baseline.cost.params if comparison.baseline is not None else 0
    rows = []
    for result in comparison.results:
        quality = comparison.qualities[result.name]
        rows.append(
            VariantRow(
                name=result.name,
                method=result.method,
                metrics={name: _known(metric(result, name)) for name in METRICS},
                dice_interval=quality.mean.get("dice"),
                iou_interval=quality.mean.get("iou"),
                dice_change=quality.change.get("dice"),
                iou_change=quality.change.get("iou"),
                dice_before=_known(metric(result, "dice_before_recovery")),
                iou_before=_known(metric(result, "iou_before_recovery")),
                by_lesion=dict(quality.by_lesion),
                params=result.cost.params,
                reduction_pct=100 * (1 - result.cost.params / full) if full else None,
                size_mb=result.cost.size_mb,
                macs=result.cost.macs or None,
                latency=result.latency,
                on_front=result.name in comparison.front,
                chosen=result is comparison.recommended,
            )
        )
    return rows


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
