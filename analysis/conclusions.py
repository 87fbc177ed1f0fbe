"""The conclusions in sentences: which network to take, what it costs, whether the difference is more than chance."""

from __future__ import annotations

from analysis.comparison import Comparison
from analysis.equal_size import verdict
from analysis.intervals import MIN_IMAGES
from analysis.ranking import TOLERATED_DICE_LOSS, USEFUL_SHARE, metric
from models.evaluation.results import EvaluationResult

_SCHEME_HINT = (
    "budget chooses each layer's scheme, which may be part of its gain; compression.scheme=spatial gives that to SVD."
)
_RECALIBRATED = " The baseline is not recalibrated; part of the difference may be what that does."
_WEAK_DICE = 0.3  # below, a baseline finds so little that keeping its Dice means nothing
_SIZE_HINT = "To compare methods at equal size, add --budgets 0.5,0.25,0.125."


def answer(comparison: Comparison) -> str:
    """Returns which network is recommended, see `analysis.ranking.recommended`, and why.

    Where there is none, the text says so and names the network with the highest Dice.
    """
    baseline = comparison.baseline
    if baseline is None or not metric(baseline, "dice") >= 0:
        return "The baseline was not evaluated, so there is nothing to compare the variants with."
    full = metric(baseline, "dice")
    if not any(metric(result, "dice") >= 0 for result in comparison.compressed):
        return f"Only the baseline was evaluated: Dice {full:.3f} with {baseline.cost.params:,} parameters."
    if full == 0:
        return "The baseline has Dice 0: train it longer before comparing what compression keeps of it."
    weak = (
        f"The baseline has Dice {full:.3f} alone: train it longer before believing this. " if full < _WEAK_DICE else ""
    )
    chosen = comparison.recommended
    if chosen is None:
        return f"{weak}{_none_is_close(comparison, baseline)}"
    recovered = _RECALIBRATED if chosen.spec.recalibrated is not None else ""
    return f"{weak}{_keeps(chosen, baseline)}.{_trust(comparison, chosen)}{_safe(comparison, chosen)}{recovered}"


def methods_answer(comparison: Comparison) -> str:
    """Returns whether ARSVD is better than SVD at equal size, and what global allocation gains over SVD."""
    min_dice = USEFUL_SHARE * metric(comparison.baseline, "dice") if comparison.baseline is not None else 0.0
    verdicts = [verdict(comparison.equal_sizes, *pair, min_dice) for pair in (("arsvd", "svd"), ("budget", "svd"))]
    if verdicts[1] and _schemes(comparison, "svd") != _schemes(comparison, "budget"):
        verdicts.append(_SCHEME_HINT)
    return " ".join(filter(None, verdicts)) or (_SIZE_HINT if comparison.compressed else "")


def describe(comparison: Comparison, result: EvaluationResult) -> str:
    """Returns what one variant keeps of the baseline's Dice, and whether the difference is more than chance."""
    baseline = comparison.baseline
    if baseline is None or result is baseline or not metric(baseline, "dice") > 0:
        return f"Dice {metric(result, 'dice'):.4f} with {result.cost.params:,} parameters."
    return f"{_keeps(result, baseline)}.{_trust(comparison, result)}"


def _none_is_close(comparison: Comparison, baseline: EvaluationResult) -> str:
    full = metric(baseline, "dice")
    none = f"No smaller network stays within {TOLERATED_DICE_LOSS:g} of the baseline's Dice ({full:.3f})"
    smaller = [r for r in comparison.compressed if r.cost.params < baseline.cost.params]
    if not smaller:
        return f"{none}: none of the variants is smaller than the baseline."
    best = max(smaller, key=lambda r: (metric(r, "dice"), -r.cost.params))
    if not metric(best, "dice") >= USEFUL_SHARE * full:
        return f"{none}, and none keeps even half of it: try larger ranks, taus or budgets."
    return f"{none}. The best of them is {_keeps(best, baseline, ', which keeps')}.{_trust(comparison, best)}"


def _trust(comparison: Comparison, chosen: EvaluationResult) -> str:
    change = comparison.qualities[chosen.name].change.get("dice")
    if change is None:
        return ""
    if change.images < MIN_IMAGES:
        return f" The difference in Dice is {change.mean:+.3f}; {change.images} images are too few to trust it."
    interval = f"95 % interval {change.low:+.3f} to {change.high:+.3f}"
    meaning = "is more than chance" if change.excludes_zero else "may be chance"
    loss = f"a loss of more than {TOLERATED_DICE_LOSS:g}"
    risk = ""
    if change.low >= -TOLERATED_DICE_LOSS:
        risk = f"; {loss} is excluded"
    elif change.mean >= -TOLERATED_DICE_LOSS:
        risk = f", but {loss} is not excluded"
    return f" The difference in Dice, {change.mean:+.3f} ({interval}), {meaning}{risk}."


def _safe(comparison: Comparison, chosen: EvaluationResult) -> str:
    """Returns the smallest network for which a larger loss is excluded, where the chosen one is not among these."""
    safe = []
    for result in comparison.results:
        change = comparison.qualities[result.name].change.get("dice")
        if change is not None and change.images >= MIN_IMAGES and change.low >= -TOLERATED_DICE_LOSS:
            safe.append(result)
    best = min(safe, key=lambda r: (r.cost.params, -metric(r, "dice"), r.name), default=None)
    if best is None or comparison.baseline is None or any(result.name == chosen.name for result in safe):
        return ""
    if best.cost.params >= comparison.baseline.cost.params:
        return ""
    return f" Such a loss is excluded for {best.name}, with {_share_pct(best, comparison.baseline)} of the parameters."


def _schemes(comparison: Comparison, method: str) -> set[str | None]:
    """Returns the schemes that a method's variants at budgets were allowed to use."""
    return {r.spec.scheme for r in comparison.of_methods(method) if r.spec.budget is not None}


def _keeps(result: EvaluationResult, baseline: EvaluationResult, verb: str = " keeps") -> str:
    dice_pct = 100 * metric(result, "dice") / metric(baseline, "dice")
    size = f"{_share_pct(result, baseline)} of the parameters"
    if result.spec.mac_budget is not None and result.cost.macs and baseline.cost.macs:
        size += f" and {100 * result.cost.macs / baseline.cost.macs:.3g} % of the multiply-accumulates"
    return f"{result.name}{verb} {dice_pct:.1f} % of the Dice with {size}"


def _share_pct(result: EvaluationResult, baseline: EvaluationResult) -> str:
    return f"{100 * result.cost.params / baseline.cost.params:.3g} %"
