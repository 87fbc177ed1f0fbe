"""What readers of a comparison ask, each question with its answer in a sentence or two."""

from __future__ import annotations

import dataclasses

from analysis.comparison import Comparison
from analysis.conclusions import describe, methods_answer, trainings_answer
from analysis.examples import ImagePair, in_question, paired_images
from analysis.intervals import CHANGE, TOO_FEW, paired_interval
from analysis.quality import LesionGroup
from analysis.ranking import JUDGED, metric
from analysis.signed_numbers import signed, signed_ends
from dataset.message_text import counted
from models.evaluation.results import EvaluationResult

NOTABLE = 0.01  # change of an image's Dice that is counted
_SEEDS = "Not known: each network was trained once. Add --seeds 1,2,3 to see what another training would give."


@dataclasses.dataclass(frozen=True)
class Question:
    """A question and its answer.

    Attributes:
        text: The question.
        answer: The answer.
        place: Where more of it stands: `table`, `equal-size`, `images`, `charts`, `sizes` or `trainings`.
    """

    text: str
    answer: str
    place: str


def questions(comparison: Comparison) -> list[Question]:
    """Returns the questions that the comparison has an answer to; none without a network to compare."""
    baseline, other = comparison.baseline, in_question(comparison)
    if baseline is None or other is None or comparison.is_useless or not metric(baseline, JUDGED) > 0:
        return []
    asked = [
        Question(
            f"Which is the smallest network within {comparison.tolerated_loss:g} of the baseline?",
            _smallest(comparison, baseline),
            "table",
        ),
        Question("Is ARSVD better than SVD at equal size?", methods_answer(comparison), "equal-size"),
        Question(f"What does {other.name} miss?", _sentence(missed(paired_images(comparison, other))), "images"),
        Question("How much faster is it?", _faster(other), "table"),
        Question("Does it hold for small lesions?", _small_lesions(comparison, baseline, other), "sizes"),
        Question(
            "What would another training give?",
            trainings_answer(comparison) if comparison.over_trainings else _SEEDS,
            "trainings" if comparison.over_trainings else "training",
        ),
    ]
    return [question for question in asked if question.answer]


def missed(pairs: list[ImagePair]) -> str:
    """Returns how many images a network loses: on images without a lesion a blind network is right, which is no gain.

    Args:
        pairs: All test images as the baseline and the network see them; empty where that is not known.
    """
    if not pairs:
        return ""
    lesions, others = [pair for pair in pairs if pair.has_lesion], [pair for pair in pairs if not pair.has_lesion]
    lose, gain = (sum(sign * pair.change > NOTABLE for pair in lesions) for sign in (-1, 1))
    before, fails = failed(lesions)
    text = (
        f"of {counted(len(lesions), 'image')} with a lesion {lose} lose and {gain} gain more than {NOTABLE:g} in Dice, "
        f"{fails} are missed (baseline: {before})"
    )
    if not others:
        return text
    before, alarms = failed(others)
    return f"{text}; of {counted(len(others), 'image')} without one, {alarms} have a false alarm (baseline: {before})"


def failed(pairs: list[ImagePair]) -> tuple[int, int]:
    """Returns how many lesions are missed, or false alarms given: by the baseline, and by the other network."""
    return sum(pair.baseline_fails for pair in pairs), sum(pair.fails for pair in pairs)


def _sentence(text: str) -> str:
    return text and f"{text[0].upper()}{text[1:]}."


def _smallest(comparison: Comparison, baseline: EvaluationResult) -> str:
    chosen = comparison.recommended
    if chosen is None:
        return "None of those that were tried, by the validation images."
    share = 100 * chosen.cost.size_bytes / baseline.cost.size_bytes
    return (
        f"{chosen.name}, with {share:.3g} % of the bytes, chosen on the validation images. "
        f"On test, {describe(comparison, chosen)}"
    )


def _faster(other: EvaluationResult) -> str:
    latency = other.latency
    if latency is None:
        return ""
    interval = f"{latency.ratio:.2f} times the baseline's (95 % interval {latency.low:.2f} to {latency.high:.2f})"
    words = {
        "faster": f"{other.name} is faster: the time of one image is {interval}.",
        "slower": f"It is slower: the time of one image is {interval}.",
        "same": f"It is not: the time of one image is about the same, {interval}.",
        "unclear": f"Unclear: the time of one image is {interval}; measure again on an idle machine.",
    }
    return f"{words[latency.judgement]} Measured on {latency.machine.title}."


def _small_lesions(comparison: Comparison, baseline: EvaluationResult, other: EvaluationResult) -> str:
    """Returns the difference of Dice on the third of the images with the smallest lesions."""
    group: LesionGroup | None = next((each for each in comparison.lesion_groups if each.size == "small"), None)
    own, full = other.per_image.get("dice", []), baseline.per_image.get("dice", [])
    if group is None or len(own) != len(full):
        return ""
    rows = group.rows.tolist()
    known = [other.groups[row] for row in rows] if other.groups else []
    change = paired_interval([own[row] for row in rows], [full[row] for row in rows], known, CHANGE)
    images, pixels = counted(len(rows), "image"), f"{group.smallest_px:.0f} to {group.largest_px:.0f} pixels"
    of = f"On the {images} with the smallest lesions ({pixels})"
    before = sum(full[row] for row in rows) / len(rows)
    said = f"{of}, {other.name} has Dice {before + change.mean:.3f} and the baseline {before:.3f}"
    if change.too_few:
        return f"{said}, a difference of {signed(change.mean)}; they are {TOO_FEW}."
    mean, low, high = signed_ends(change)
    meaning = "more than chance" if change.excludes_zero else "which may be chance"
    return f"{said}: a difference of {mean} ({low} to {high}), {meaning}."
