"""The conclusions in sentences: which network to take, what it costs, whether the difference is more than chance."""

from __future__ import annotations

import itertools

from analysis.comparison import Comparison, baseline_in
from analysis.equal_size import TWO, verdict
from analysis.examples import in_question
from analysis.intervals import MIN_UNITS, TOO_FEW
from analysis.ranking import JUDGED, OTHER_RULES, SPLITS, candidates, is_useful, metric, without_repeats
from analysis.sentences.baselines import failed, useless, weak
from analysis.sentences.false_alarms import false_alarms
from analysis.signed_numbers import signed, signed_ends
from dataset.message_text import counted
from models.evaluation.results import EvaluationResult
from models.variant_spec import Method

_SCHEME_HINT = (
    "budget chooses each layer's scheme, which may be part of its gain; to let SVD choose so too, add "
    "compression.scheme=auto."
)
_RECALIBRATED = " The baseline is not recalibrated; part of the difference may be what that does."
_NOTED = 0.001  # loss of Dice by recalibration that is told
_JUDGED_PAIRS: tuple[tuple[Method, Method], ...] = (
    ("arsvd", "svd"),
    ("budget", "svd"),
    ("budget", "pruned"),
    *(("budget", rule) for rule in OTHER_RULES),
)
_ONE_TRAINING = "Each width was trained once; --seeds says how much another training would change."
_SIZE_HINT = "To compare methods at equal size, add --budgets 0.5,0.25,0.125."


def answer(comparison: Comparison) -> str:
    """Returns which network is recommended, see `analysis.ranking.recommended`, and why.

    Where there is none, the text says so and names the network with the highest Dice. Dice is that of images with a
    lesion.
    """
    baseline = comparison.baseline
    if baseline is None:
        return "The baseline was not evaluated, so there is nothing to compare the variants with."
    full = metric(baseline, JUDGED)
    if not comparison.compressed:
        return f"Only the baseline was evaluated: Dice {full:.3f} with {baseline.cost.params:,} parameters."
    missing = [split for split in SPLITS if not metric(baseline, JUDGED, split) >= 0]
    if missing:
        return f"No image of {' and '.join(missing)} has a lesion, so there is nothing to judge networks by."
    if comparison.is_useless:
        return useless(comparison, baseline)
    first = f"{weak(comparison, baseline)}{failed(comparison, baseline)}"
    chosen, recovery = comparison.recommended, f"{_lowered(comparison)}{_unhelped(comparison)}"
    if chosen is None:
        return f"{first}{_none_is_close(comparison, baseline)}{recovery}"
    recovered = _RECALIBRATED if chosen.spec.recalibrated is not None else ""
    trust, safe = _trust(comparison, chosen), safe_alternative(comparison, chosen)
    kept = f"{_keeps(comparison, chosen)}.{_repeats(comparison, chosen)}"
    alarms = false_alarms(comparison, chosen)
    return f"{first}{kept}{_choice(comparison, chosen)}{trust}{alarms}{safe}{recovered}{recovery}"


def reservations(comparison: Comparison) -> list[str]:
    """Returns what is to be known before the answer is believed; the answer in full says it, too."""
    baseline = comparison.baseline
    if baseline is None or not comparison.compressed or comparison.is_useless:
        return []
    return [text.strip() for text in (weak(comparison, baseline), failed(comparison, baseline)) if text]


def times_answer(comparison: Comparison) -> str:
    """Returns what to do where the times of most compressed networks are unclear; empty where they are not."""
    timed = [result.latency.judgement for result in comparison.compressed if result.latency is not None]
    if 2 * timed.count("unclear") <= len(timed):
        return ""
    return (
        "Times are unclear: the machine was busy. Time again with more timing.seconds, say timing.seconds=10, while "
        "it is idle."
    )


def methods_answer(comparison: Comparison) -> str:
    """Returns whether ARSVD is better than SVD at equal size, and what global allocation gains over SVD and others.

    Empty where the baseline is useless: then so is what is compared by what it keeps of it.
    """
    if comparison.is_useless:
        return ""
    verdicts = [verdict(comparison.equal_sizes, *pair) for pair in _JUDGED_PAIRS]
    if verdicts[1] and _schemes(comparison, "svd") != _schemes(comparison, "budget"):
        verdicts.append(_SCHEME_HINT)
    if any(verdicts) and comparison.has_several_widths:
        verdicts.append("That is said of the baseline's width alone.")
    return " ".join(filter(None, verdicts)) or (_SIZE_HINT if comparison.compressed else "")


def sizes_answer(comparison: Comparison) -> str:
    """Returns which network to take at each size, by width and method; empty where there is one width alone."""
    if not comparison.has_several_widths or not comparison.at_sizes or comparison.is_useless:
        return ""
    unit = "bytes" if comparison.has_few_bits else "parameters"
    lines = []
    for _, same in itertools.groupby(comparison.at_sizes, key=lambda line: line.result.name):
        group = list(same)
        *larger, last = (f"{100 * each.limit:.3g}" for each in group)
        limits = f"{', '.join(larger)} and {last}" if larger else last
        first = group[0]
        lines.append(f"at most {limits} %, {first.result.name} ({first.width}, {first.way}; Dice {first.dice:.3f})")
    over = "; Dice is the mean over trainings." if comparison.over_trainings else f". {_ONE_TRAINING}"
    return f"What to take at a size, as a share of the baseline's {unit}: {'; '.join(lines)}. Chosen on valid{over}"


def trainings_answer(comparison: Comparison) -> str:
    """Returns what holds over several trainings of the variant that a reader wants to know most of; else empty."""
    best = in_question(comparison)
    line = next((each for each in comparison.over_trainings if best is not None and each.name == best.name), None)
    if line is None or comparison.is_useless:
        return ""
    number = len(line.variants)
    sizes = "" if line.sizes is None else " of {:,} to {:,} parameters".format(*line.sizes)
    found = f"Over {number} trainings, {line.name}{sizes} has Dice {line.dice:.3f} (standard deviation {line.sd:.3f}"
    if line.mean is not None and not line.mean.too_few:
        found += f"; 95 % interval over trainings and {line.mean.unit} {line.mean.low:.3f} to {line.mean.high:.3f}"
    if line.change is None:
        return f"{found})."
    change = f"{found}). Its difference to the baseline of the same seed"
    if line.change.too_few:
        return f"{change} is from {line.change.over}, {TOO_FEW}."
    mean, low, high = signed_ends(line.change)
    meaning = "is more than chance" if line.change.excludes_zero else "may be chance"
    if number == TWO and not line.change.excludes_zero:
        meaning = "cannot be told from chance by two trainings, whose intervals are wide: give --seeds three or more"
    return f"{change}, {mean} ({low} to {high}), {meaning}."


def describe(comparison: Comparison, result: EvaluationResult) -> str:
    """Returns what one variant keeps of the baseline's Dice, and whether the difference is more than chance."""
    baseline = comparison.baseline
    if baseline is None or result is baseline or comparison.is_useless or not metric(baseline, JUDGED) > 0:
        return f"Dice {metric(result, JUDGED):.4f} with {result.cost.params:,} parameters."
    return f"{_keeps(comparison, result)}.{_trust(comparison, result)}"


def _none_is_close(comparison: Comparison, baseline: EvaluationResult) -> str:
    refused = comparison.chosen_by_valid
    if refused is not None:
        return (
            f"No network is recommended: {refused.name}, which the validation images choose, keeps less than half of "
            "the baseline's Dice, or of the lesions that it finds, on the test images."
        )
    valid = metric(baseline, JUDGED, "valid")
    within = f"within {comparison.tolerated_loss:g} of the baseline's Dice on the validation images ({valid:.3f})"
    none = f"No smaller network stays {within}"
    smaller = [r for r in comparison.eligible if r.cost.size_bytes < baseline.cost.size_bytes]
    if not smaller:
        return f"{none}: none of the variants is smaller than the baseline."
    useful = [r for r in smaller if is_useful(r, baseline)]
    if not useful:
        half = "none keeps even half of it, or of the lesions that it finds"
        return f"{none}, and {half}: try larger ranks, taus or budgets."
    best = max(useful, key=lambda r: (metric(r, JUDGED), -r.cost.size_bytes))
    return f"{none}. The best of them on the test images is {_keeps(comparison, best, ', which keeps')}." + _trust(
        comparison, best
    )


def _repeats(comparison: Comparison, chosen: EvaluationResult) -> str:
    """Returns which other variants have the same network."""
    others = [name for name, first in comparison.same_networks.items() if first == chosen.name]
    return f" {' and '.join(others)} {'is' if len(others) == 1 else 'are'} the same network." if others else ""


def _lowered(comparison: Comparison) -> str:
    """Returns how many networks recalibration has made worse, of those on which nothing else was done."""
    alone = [
        metric(result, JUDGED) - before
        for result in comparison.compressed
        if result.spec.recalibrated is not None
        and result.spec.finetune_epochs is None
        and (before := metric(result, f"{JUDGED}_before_recovery")) >= 0
    ]
    lower = sum(change <= -_NOTED for change in alone)
    if not lower:
        return ""
    return (
        f" Recalibration lowered the Dice of {lower} of {len(alone)} variants by {_NOTED:g} or more; compare with "
        "a run without --recalibrate."
    )


def _unhelped(comparison: Comparison) -> str:
    """Returns how many networks fine-tuning has not made better on valid, which are as they were before."""
    tuned = [result for result in comparison.compressed if result.finetune_history]
    unhelped = sum(result.finetune_history.get("best_epoch") == 0 for result in tuned)
    if not unhelped:
        return ""
    return (
        f" Fine-tuning made {unhelped} of {len(tuned)} networks no better on valid, so they were left as they were; "
        "try another --finetune_lr."
    )


def _choice(comparison: Comparison, chosen: EvaluationResult) -> str:
    """Returns by which images the network was chosen, and how far these can be trusted."""
    rows = [row for row, area in enumerate(chosen.valid_per_image.get("lesion_px", [])) if area > 0]
    known = chosen.valid_groups
    noun, lesions = (chosen.group_noun, len({known[row] for row in rows})) if known else ("image", len(rows))
    few = f"; valid has {counted(lesions, noun)} with a lesion, too few to choose by" if lesions < MIN_UNITS else ""
    return (
        f" It was chosen on valid, as the smallest within {comparison.tolerated_loss:g} of the baseline's Dice{few}; "
        "the figures are those on test."
    )


def _trust(comparison: Comparison, chosen: EvaluationResult) -> str:
    change, tolerated = comparison.qualities[chosen.name].change.get(JUDGED), comparison.tolerated_loss
    if change is None:
        return ""
    if change.too_few:
        return f" The difference in Dice, {signed(change.mean)}, is from {change.over}, {TOO_FEW}."
    over = f" over {change.over}" if change.patients is not None else ""
    mean, low, high = signed_ends(change)
    interval = f"95 % interval{over} {low} to {high}"
    meaning = "is more than chance" if change.excludes_zero else "may be chance"
    loss = f"a loss of more than {tolerated:g}"
    risk = ""
    if change.low >= -tolerated:
        risk = f"; {loss} is excluded"
    elif change.mean >= -tolerated:
        risk = f", but {loss} is not excluded"
    else:
        risk = f", and the loss is above the {tolerated:g} that is tolerated"
    return f" The difference in Dice, {mean} ({interval}), {meaning}{risk}."


def safe_alternative(comparison: Comparison, chosen: EvaluationResult) -> str:
    """Returns the smallest network for which a larger loss is excluded, where the chosen one is not among these."""
    tolerated, safe = comparison.tolerated_loss, []
    for result in without_repeats(candidates(comparison.results)):
        change = comparison.qualities[result.name].change.get(JUDGED)
        if change is not None and change.low >= -tolerated and is_useful(result, comparison.baseline):
            safe.append(result)
    best = min(safe, key=lambda r: (r.cost.size_bytes, -metric(r, JUDGED), r.name), default=None)
    if best is None or comparison.baseline is None or any(result.name == chosen.name for result in safe):
        return ""
    if best.cost.size_bytes >= comparison.baseline.cost.size_bytes:
        return ""
    share = _share(comparison, best)
    return f" On test, such a loss is excluded for {best.name}, with {share}."


def _schemes(comparison: Comparison, method: str) -> set[str | None]:
    """Returns the schemes that a method's variants at budgets were allowed to use."""
    return {r.spec.scheme for r in comparison.of_methods(method) if r.spec.budget is not None}


def _keeps(comparison: Comparison, result: EvaluationResult, verb: str = " keeps") -> str:
    baseline = baseline_in(comparison)
    dice_pct = 100 * metric(result, JUDGED) / metric(baseline, JUDGED)
    of = "Dice on images with a lesion" if comparison.has_empty_images else "Dice"
    size = _share(comparison, result)
    if result.spec.mac_budget is not None and result.cost.macs and baseline.cost.macs:
        size += f" and {100 * result.cost.macs / baseline.cost.macs:.3g} % of the multiply-accumulates"
    return f"{result.name}{verb} {dice_pct:.1f} % of the {of} with {size}"


def _share(comparison: Comparison, result: EvaluationResult) -> str:
    """Returns how small a network is: `25 % of the parameters`; `6.2 % of the bytes` where some are in few bits."""
    own, full = result.cost, baseline_in(comparison).cost
    if comparison.has_few_bits:
        return f"{100 * own.size_bytes / full.size_bytes:.3g} % of the bytes"
    return f"{100 * own.params / full.params:.3g} % of the parameters"
