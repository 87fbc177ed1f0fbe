"""The images on which compressed networks are worse than the baseline, as tables of the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from analysis.comparison import Comparison
from analysis.examples import LISTED_FAILURES, ImagePair, in_question, paired_images
from models.evaluation.results import EvaluationResult

NOTABLE = 0.01  # change of an image's Dice that is counted


@dataclasses.dataclass(frozen=True)
class FailureTable:
    """The images on which one variant is worse than the baseline.

    Attributes:
        name: The variant's name.
        summary: How many images, in a sentence; those with a lesion and those without apart.
        lines: The largest losses among the images with a lesion: file name, pixels of the lesion, Dice of the baseline,
            Dice of the variant.
        faults: Missed lesions and false alarms, with the baseline's and without: kind of fault to file names.
        open: Whether the table is unfolded when the page opens.
    """

    name: str
    summary: str
    lines: list[tuple[str, float, float, float]]
    faults: Mapping[str, list[str]]
    open: bool


def failure_tables(comparison: Comparison, file_names: Sequence[str]) -> list[FailureTable]:
    """Returns one table for each compressed network that loses images; only the recommended one's is unfolded.

    Args:
        comparison: The variants.
        file_names: File names of the evaluated images, in order; may be shorter where they are not known.
    """
    shown = in_question(comparison)
    tables = [_table(comparison, result, file_names, is_open=result is shown) for result in comparison.compressed]
    found = [table for table in tables if table.lines or any(table.faults.values())]
    return sorted(found, key=lambda table: not table.open)


def _table(
    comparison: Comparison, result: EvaluationResult, file_names: Sequence[str], *, is_open: bool
) -> FailureTable:
    pairs = paired_images(comparison, result)
    lesions, others = [pair for pair in pairs if pair.has_lesion], [pair for pair in pairs if not pair.has_lesion]
    worse = sorted((pair for pair in lesions if pair.change < 0), key=lambda pair: (pair.change, pair.row))

    def names(chosen: Sequence[ImagePair]) -> list[str]:
        return [_file_name(file_names, pair.row) for pair in chosen]

    return FailureTable(
        name=result.name,
        summary=_summary(lesions, others),
        lines=[
            (_file_name(file_names, pair.row), pair.lesion_px, pair.baseline_dice, pair.dice)
            for pair in worse[:LISTED_FAILURES]
        ],
        faults={
            "Missed, and found by the baseline": names([p for p in lesions if p.fails and not p.baseline_fails]),
            "Missed by the baseline, too": names([p for p in lesions if p.fails and p.baseline_fails]),
            "False alarms, and none by the baseline": names([p for p in others if p.fails and not p.baseline_fails]),
            "False alarms by the baseline, too": names([p for p in others if p.fails and p.baseline_fails]),
        },
        open=is_open,
    )


def _summary(lesions: Sequence[ImagePair], others: Sequence[ImagePair]) -> str:
    """Returns the counts: on images without a lesion a blind network is right, which is no gain on lesions."""
    lose, gain = (sum(sign * pair.change > NOTABLE for pair in lesions) for sign in (-1, 1))
    missed, before = _failed(lesions)
    text = (
        f"of {_images(lesions)} with a lesion {lose} lose and {gain} gain more than {NOTABLE:g} in Dice, "
        f"{missed} are missed (baseline: {before})"
    )
    if not others:
        return text
    alarms, before = _failed(others)
    return f"{text}; of {_images(others)} without one, {alarms} have a false alarm (baseline: {before})"


def _failed(pairs: Sequence[ImagePair]) -> tuple[int, int]:
    """Returns how many lesions are missed, or false alarms given: by the variant, and by the baseline."""
    return sum(pair.fails for pair in pairs), sum(pair.baseline_fails for pair in pairs)


def _images(pairs: Sequence[ImagePair]) -> str:
    return f"{len(pairs)} image{'' if len(pairs) == 1 else 's'}"


def _file_name(names: Sequence[str], row: int) -> str:
    return names[row] if row < len(names) else f"image {row} of the split"
