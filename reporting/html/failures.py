"""The images on which compressed networks are worse than the baseline, as tables of the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from analysis.comparison import Comparison
from analysis.examples import LISTED_FAILURES, ImagePair, in_question, paired_images
from analysis.sentences.questions import missed
from models.evaluation.results import EvaluationResult


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
        return [image_name(file_names, pair.row) for pair in chosen]

    return FailureTable(
        name=result.name,
        summary=missed(pairs),
        lines=[
            (image_name(file_names, pair.row), pair.lesion_px, pair.baseline_dice, pair.dice)
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


def image_name(names: Sequence[str], row: int) -> str:
    """Returns the file name of a test image, or its place in the split where that is not known."""
    return names[row] if row < len(names) else f"image {row} of the split"


def patient_rows(comparison: Comparison) -> list[tuple[str, float, float]]:
    """Returns patients (volumes, series) with the Dice of the baseline and of the network in question.

    Those that lose most come first; none where they are not known.
    """
    baseline, other = comparison.baseline, in_question(comparison)
    if baseline is None or other is None:
        return []
    known = [name for name in baseline.per_group if name in other.per_group]
    rows = [(name, baseline.per_group[name], other.per_group[name]) for name in known]
    return sorted(rows, key=lambda row: (row[2] - row[1], row[0]))
