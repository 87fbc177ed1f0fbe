"""What is read off a set of variants: their order, the Pareto front, and the answer in one sentence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from models.results import EvaluationResult

METHODS = ("baseline", "svd", "arsvd", "budget")
PARAMETER = {"svd": "rank", "arsvd": "tau", "budget": "budget"}
TOLERATED_DICE_LOSS = 0.01


@dataclasses.dataclass(frozen=True)
class VariantRow:
    """One line of the comparison; None stands for a value that is unknown.

    Attributes:
        name: The variant's name.
        method: `baseline`, `svd`, `arsvd` or `budget`.
        dice: Mean Dice over images.
        iou: Mean IoU over images.
        dice_before: Mean Dice straight after truncation, before the network was recalibrated or fine-tuned.
        iou_before: Mean IoU, likewise.
        pixel_accuracy: Share of correct pixels.
        params: Number of parameters.
        reduction_pct: Parameters saved against the baseline, in percent.
        size_mb: Size of the weights file, in 10^6 bytes.
        macs: Multiply-accumulates for one image.
        latency_ms: Time for one image, in milliseconds.
        on_front: Whether no other variant is better in Dice or parameters without being worse in the other.
    """

    name: str
    method: str
    dice: float | None
    iou: float | None
    dice_before: float | None
    iou_before: float | None
    pixel_accuracy: float | None
    params: int
    reduction_pct: float | None
    size_mb: float
    macs: int | None
    latency_ms: float | None
    on_front: bool


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Finds the points that no other point beats: less cost at the same value, or more value at the same cost.

    Args:
        points: Pairs (cost, value); a pair with NaN is never on the front.

    Returns:
        Indices into `points`, by ascending cost; equal points are all on the front, or none is.
    """
    known = [(cost, value, index) for index, (cost, value) in enumerate(points) if not math.isnan(cost + value)]
    front: list[int] = []
    best: tuple[float, float] | None = None
    for cost, value, index in sorted(known, key=lambda point: (point[0], -point[1], point[2])):
        if best is None or value > best[1] or (cost, value) == best:
            front.append(index)
            best = (cost, value)
    return front


def metric(result: EvaluationResult, name: str) -> float:
    """Returns a metric of a variant, NaN where it is missing or not finite."""
    value = result.metrics.get(name)
    return float(value) if value is not None and math.isfinite(value) else math.nan


def setting_value(result: EvaluationResult) -> float:
    """Returns the variant's rank, tau or budget; NaN for the baseline, and where the setting does not name it."""
    value = result.setting.get(PARAMETER.get(result.method, ""))
    return math.nan if value is None else float(value)


def in_order(results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """Orders variants for reading: baseline, SVD by rank, ARSVD by tau, budgets; methods unknown here come last."""

    def place(result: EvaluationResult) -> tuple[int, float, str]:
        value = setting_value(result)
        method = METHODS.index(result.method) if result.method in METHODS else len(METHODS)
        return method, math.inf if math.isnan(value) else value, result.name

    return sorted(results, key=place)


def front_names(results: Sequence[EvaluationResult]) -> set[str]:
    """Returns the names of the variants on the Pareto front of parameters and Dice."""
    return {results[i].name for i in pareto_front([(r.cost.params, metric(r, "dice")) for r in results])}


def baseline_of(results: Sequence[EvaluationResult]) -> EvaluationResult | None:
    """Returns the uncompressed network among the variants, None where it was not evaluated."""
    return next((result for result in results if result.method == "baseline"), None)


def variant_rows(results: Sequence[EvaluationResult]) -> list[VariantRow]:
    """Returns one row a variant, in reading order."""
    baseline, front = baseline_of(results), front_names(results)
    full = baseline.cost.params if baseline is not None else 0
    return [
        VariantRow(
            name=result.name,
            method=result.method,
            dice=_known(metric(result, "dice")),
            iou=_known(metric(result, "iou")),
            dice_before=_known(metric(result, "dice_before_recovery")),
            iou_before=_known(metric(result, "iou_before_recovery")),
            pixel_accuracy=_known(metric(result, "pixel_accuracy")),
            params=result.cost.params,
            reduction_pct=100 * (1 - result.cost.params / full) if full else None,
            size_mb=result.cost.size_mb,
            macs=result.cost.macs or None,
            latency_ms=_known(result.cost.latency_ms) or None,
            on_front=result.name in front,
        )
        for result in in_order(results)
    ]


def answer(results: Sequence[EvaluationResult]) -> str:
    """Says in one sentence which variant to take.

    That is the smallest network whose Dice is at most `TOLERATED_DICE_LOSS` below the baseline's; where there is none,
    the sentence says so and names the one with the highest Dice.
    """
    baseline = baseline_of(results)
    others = [r for r in results if r.method != "baseline" and not math.isnan(metric(r, "dice"))]
    if baseline is None or math.isnan(metric(baseline, "dice")):
        return "The baseline was not evaluated, so there is nothing to compare the variants with."
    full = metric(baseline, "dice")
    if not others:
        return f"Only the baseline was evaluated: Dice {full:.3f} with {baseline.cost.params:,} parameters."
    if full == 0:
        return "The baseline has Dice 0: train it longer before comparing what compression keeps of it."
    close = [
        r for r in others if metric(r, "dice") >= full - TOLERATED_DICE_LOSS and r.cost.params < baseline.cost.params
    ]
    if close:
        return _keeps(min(close, key=lambda r: (r.cost.params, -metric(r, "dice"))), baseline) + "."
    best = max(others, key=lambda r: (metric(r, "dice"), -r.cost.params))
    return (
        f"No smaller network stays within {TOLERATED_DICE_LOSS:g} of the baseline's Dice ({full:.3f}); "
        f"the best, {_keeps(best, baseline)}."
    )


def _keeps(result: EvaluationResult, baseline: EvaluationResult) -> str:
    dice_pct = 100 * metric(result, "dice") / metric(baseline, "dice")
    params_pct = 100 * result.cost.params / baseline.cost.params
    return f"{result.name} keeps {dice_pct:.1f} % of the Dice with {params_pct:.3g} % of the parameters"


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
