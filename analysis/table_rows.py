"""The comparison as rows of a table, for the terminal and the report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from analysis.comparison import Comparison
from analysis.intervals import Interval
from analysis.ranking import JUDGED, metric
from models.evaluation.results import SAME_FROM, SAME_TO, Latency

# What stands in the place of a time that is not told apart from the baseline's, and what it means.
TIME_WORDS = {
    "same": f"within {SAME_FROM:g} to {SAME_TO:g}",
    "unclear": "the interval is too wide to say",
}
METRICS = (
    "dice_lesion",
    "iou_lesion",
    "recall_images",
    "false_alarm_images",
    "dice",
    "iou",
    "dice_patient",
    "pixel_accuracy",
    "precision",
    "recall",
    "hausdorff95_px",
)


@dataclasses.dataclass(frozen=True)
class VariantRow:
    """One line of the comparison; None stands for a value that is unknown.

    Attributes:
        name: The variant's name.
        method: What it is made by, see `VariantSpec`.
        metrics: Each of `METRICS` to its value.
        intervals: Each of `quality.MEASURED` to its 95 % interval, as far as known.
        changes: Each of them to the difference to the baseline over the same images; empty for the baseline.
        dice_before: The Dice of images with a lesion straight after compression, before the network was recalibrated or
            fine-tuned.
        classes: With several classes, each to its Dice on the images that have it.
        by_lesion: Size of lesions to Dice on the images that have such; empty where it is not known.
        params: Number of parameters.
        reduction_pct: Parameters saved against the baseline, in percent.
        size_mb: Size of the weights file, in 10^6 bytes.
        macs: Multiply-accumulates for one image.
        latency: Time for one image, beside the baseline's.
        is_baseline: Whether it is what the others are compared with.
        on_front: Whether it, or another variant that is the same network, is among the best trade-offs of file size and
            Dice.
        chosen: Whether it is the recommended network.
    """

    name: str
    method: str
    metrics: dict[str, float | None]
    intervals: Mapping[str, Interval]
    changes: Mapping[str, Interval]
    dice_before: float | None
    classes: dict[str, float | None]
    by_lesion: dict[str, Interval]
    params: int
    reduction_pct: float | None
    size_mb: float
    macs: int | None
    latency: Latency | None
    is_baseline: bool
    on_front: bool
    chosen: bool

    @property
    def judged_change(self) -> Interval | None:
        """Difference to the baseline in the Dice that networks are judged by; None for the baseline."""
        return self.changes.get(JUDGED)

    @property
    def time_word(self) -> str | None:
        """What stands in the place of a ratio that is not told apart from 1: `same`, or `unclear`; None for others."""
        if self.latency is None or self.latency.differs or self.is_baseline:
            return None
        return self.latency.judgement


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
                intervals=quality.mean,
                changes=quality.change,
                dice_before=_known(metric(result, f"{JUDGED}_before_recovery")),
                classes={name: values.get(JUDGED) for name, values in result.classes.items()},
                by_lesion=dict(quality.by_lesion),
                params=result.cost.params,
                reduction_pct=100 * (1 - result.cost.params / full) if full else None,
                size_mb=result.cost.size_mb,
                macs=result.cost.macs or None,
                latency=result.latency,
                is_baseline=result.spec.is_baseline,
                on_front=comparison.same_networks.get(result.name, result.name) in comparison.front,
                chosen=result is comparison.recommended,
            )
        )
    return rows


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
