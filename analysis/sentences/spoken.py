"""The answer as a person says it aloud: two sentences, and four numbers of two networks side by side."""

from __future__ import annotations

import dataclasses

from analysis.comparison import Comparison
from analysis.conclusions import answer, safe_alternative
from analysis.examples import in_question, paired_images
from analysis.ranking import JUDGED, metric
from analysis.sentences.questions import failed
from models.evaluation.results import EvaluationResult, Latency

UNKNOWN = "\N{EN DASH}"
_SPEED = {"faster": "{:.2g} times as fast", "slower": "{:.2g} times slower", "same": "as fast", "unclear": "unclear"}


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """One number of the baseline and of another network.

    Attributes:
        title: What it is.
        baseline: The baseline's.
        other: The other network's; empty where there is none.
        change: What the other one's is beside it, in a few words.
        note: What the number means.
    """

    title: str
    baseline: str
    other: str
    change: str
    note: str


def spoken(comparison: Comparison) -> list[str]:
    """Returns the answer in two sentences; where there is nothing to choose, the one that says why."""
    baseline, shown = comparison.baseline, in_question(comparison)
    if baseline is None or shown is None or comparison.is_useless or not metric(baseline, JUDGED) > 0:
        return [answer(comparison)]
    on = "on images with a lesion" if comparison.has_empty_images else "on the test images"
    dice = f"Dice {metric(shown, JUDGED):.3f} {on} beside {metric(baseline, JUDGED):.3f} of the baseline"
    if comparison.recommended is not None:
        first = f"The network can be {_smaller(baseline, shown)}: {shown.name} has {dice}."
    else:
        first = (
            f"No smaller network stays within {comparison.tolerated_loss:g} of the baseline's Dice on the validation "
            f"images; the best on the test images, {shown.name}, has {dice}."
        )
    return [first, _second(comparison, shown)]


def side_by_side(comparison: Comparison) -> list[SideBySide]:
    """Returns Dice, size, speed and images lost of the baseline and of the network in question."""
    baseline, other = comparison.baseline, in_question(comparison)
    if baseline is None:
        return []
    change = None if other is None else comparison.qualities[other.name].change.get(JUDGED)
    lost = None if other is None else _lost(comparison, other)
    with_lesion = comparison.test_images[0]
    return [
        SideBySide(
            "Dice",
            _number(metric(baseline, JUDGED), ".3f"),
            "" if other is None else _number(metric(other, JUDGED), ".3f"),
            "" if change is None else _change(change.mean),
            "overlap with the true mask, 1 is all of it; mean over test images with a lesion",
        ),
        SideBySide(
            "Size",
            f"{baseline.cost.size_mb:.3g} MB",
            "" if other is None else f"{other.cost.size_mb:.3g} MB",
            "" if other is None else _smaller(baseline, other).removeprefix("made "),
            "bytes of the weights file",
        ),
        SideBySide(
            "Speed",
            _milliseconds(baseline.latency),
            "" if other is None else _milliseconds(other.latency),
            "" if other is None or other.latency is None else _speed(other.latency),
            "time of one image; the networks measured in turn",
        ),
        SideBySide(
            "Images lost",
            UNKNOWN if lost is None else f"{lost[0]} of {with_lesion}",
            "" if other is None else UNKNOWN if lost is None else f"{lost[1]} of {with_lesion}",
            "" if lost is None else _more(lost[1] - lost[0]),
            "images with a lesion of which nothing is found",
        ),
    ]


def _second(comparison: Comparison, other: EvaluationResult) -> str:
    """Returns what it costs and gains otherwise, and whether more than is tolerated may be lost."""
    lost, parts = _lost(comparison, other), []
    if lost is not None:
        before, after = lost
        images = f"{comparison.test_images[0]} images with a lesion"
        as_many = f"it finds nothing on {after} of {images}, as the baseline"
        more = f"it finds nothing on {after} of {images}, the baseline on {before}"
        parts.append(as_many if before == after else more)
    if other.latency is not None:
        words = {"same": "it takes the same time", "unclear": "its time is not told apart from the baseline's"}
        parts.append(words.get(other.latency.judgement, f"it is {_speed(other.latency)}"))
    change, tolerated = comparison.qualities[other.name].change.get(JUDGED), comparison.tolerated_loss
    if change is None or change.too_few:
        parts.append("the images are too few to say how sure that is")
    elif change.low >= -tolerated:
        parts.append(f"on these images its 95 % interval rules out a loss of more than {tolerated:g}")
    elif change.mean >= -tolerated:
        parts.append(f"a loss of more than {tolerated:g} cannot be ruled out")
    else:
        parts.append(f"it loses {-change.mean:.3f}, more than the {tolerated:g} that is tolerated")
    *first, last = parts
    text = f"{', '.join(first)}, and {last}." if first else f"{last}."
    return f"{text[0].upper()}{text[1:]}{safe_alternative(comparison, other)}"


def _lost(comparison: Comparison, other: EvaluationResult) -> tuple[int, int] | None:
    """Returns how many lesions are missed, by the baseline and by another network; None where it is not known."""
    lesions = [pair for pair in paired_images(comparison, other) if pair.has_lesion]
    if not lesions or len(lesions) != comparison.test_images[0]:  # which images have one is not known
        return None
    return failed(lesions)


def _smaller(baseline: EvaluationResult, other: EvaluationResult) -> str:
    factor = baseline.cost.size_bytes / max(other.cost.size_bytes, 1)
    if factor >= 1:
        return f"made {factor:.2g} times smaller" if factor < 10 else f"made {factor:.0f} times smaller"
    return f"made {1 / factor:.2g} times larger"


def _speed(latency: Latency) -> str:
    ratio = latency.ratio if latency.judgement == "slower" else 1 / max(latency.ratio, 1e-9)
    return _SPEED[latency.judgement].format(ratio)


def _milliseconds(latency: Latency | None) -> str:
    return UNKNOWN if latency is None else f"{latency.ms:.3g} ms"


def _number(value: float, spec: str) -> str:
    return format(value, spec) if value >= 0 else UNKNOWN


def _change(value: float) -> str:
    text = f"{abs(value):.3f}"
    return "the same" if not float(text) else f"{text} {'more' if value > 0 else 'less'}"


def _more(number: int) -> str:
    return "as many" if number == 0 else f"{abs(number)} {'more' if number > 0 else 'fewer'}"
