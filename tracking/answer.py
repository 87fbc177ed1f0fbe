"""The answer in a few sentences: which variant to take, what it costs, whether the difference can be trusted."""

from __future__ import annotations

from models.results import EvaluationResult
from tracking.bootstrap import FEWEST_IMAGES
from tracking.comparison import Comparison
from tracking.equal_size import verdict
from tracking.tradeoffs import METHODS, TOLERATED_DICE_LOSS, USEFUL_SHARE, metric

_SIZE_HINT = "To compare methods at equal size, add --budgets 0.5,0.25,0.125."


def answer(comparison: Comparison) -> str:
    """Says which variant to take: the smallest whose Dice is at most `TOLERATED_DICE_LOSS` below the baseline's.

    Where there is none, the sentence says so and names the one with the highest Dice.
    """
    baseline = comparison.baseline
    others = [r for r in comparison.of_methods(*METHODS[1:]) if metric(r, "dice") >= 0]
    if baseline is None or not metric(baseline, "dice") >= 0:
        return "The baseline was not evaluated, so there is nothing to compare the variants with."
    full = metric(baseline, "dice")
    if not others:
        return f"Only the baseline was evaluated: Dice {full:.3f} with {baseline.cost.params:,} parameters."
    if full == 0:
        return "The baseline has Dice 0: train it longer before comparing what compression keeps of it."
    chosen = comparison.recommended
    if chosen is not None:
        return f"{_keeps(chosen, baseline)}.{_trust(comparison, chosen)}"
    none = f"No smaller network stays within {TOLERATED_DICE_LOSS:g} of the baseline's Dice ({full:.3f})"
    smaller = [result for result in others if result.cost.params < baseline.cost.params]
    if not smaller:
        return f"{none}: none of the variants is smaller than the baseline."
    best = max(smaller, key=lambda r: (metric(r, "dice"), -r.cost.params))
    return f"{none}. The best of them is {_keeps(best, baseline, ', which keeps')}.{_trust(comparison, best)}"


def methods_answer(comparison: Comparison) -> str:
    """Says whether ARSVD is better than SVD at equal size, and what the allocation over the network gains on it."""
    least = USEFUL_SHARE * metric(comparison.baseline, "dice") if comparison.baseline is not None else 0.0
    verdicts = [verdict(comparison.equal_sizes, *pair, least) for pair in (("arsvd", "svd"), ("budget", "svd"))]
    return " ".join(filter(None, verdicts)) or (_SIZE_HINT if comparison.of_methods(*METHODS[1:]) else "")


def describe(comparison: Comparison, result: EvaluationResult) -> str:
    """Says of one variant what it keeps, and whether the difference can be trusted."""
    baseline = comparison.baseline
    if baseline is None or result is baseline or not metric(baseline, "dice") > 0:
        return f"Dice {metric(result, 'dice'):.4f} with {result.cost.params:,} parameters."
    return f"{_keeps(result, baseline)}.{_trust(comparison, result)}"


def _trust(comparison: Comparison, chosen: EvaluationResult) -> str:
    change = comparison.qualities[chosen.name].change.get("dice")
    if change is None:
        return ""
    if change.images < FEWEST_IMAGES:
        return f" The difference in Dice is {change.mean:+.3f}; {change.images} images are too few to trust it."
    interval = f"95 % interval {change.low:+.3f} to {change.high:+.3f}"
    meaning = "is more than chance" if change.excludes_zero else "may be chance"
    possible = change.mean >= -TOLERATED_DICE_LOSS and change.low < -TOLERATED_DICE_LOSS
    risk = f", but a loss of more than {TOLERATED_DICE_LOSS:g} cannot be excluded" if possible else ""
    return f" The difference in Dice, {change.mean:+.3f} ({interval}), {meaning}{risk}."


def _keeps(result: EvaluationResult, baseline: EvaluationResult, verb: str = " keeps") -> str:
    dice_pct = 100 * metric(result, "dice") / metric(baseline, "dice")
    params_pct = 100 * result.cost.params / baseline.cost.params
    return f"{result.name}{verb} {dice_pct:.1f} % of the Dice with {params_pct:.3g} % of the parameters"
