"""The images on which compressed networks are worse than the baseline, as tables of the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from analysis.comparison import Comparison
from analysis.examples import LISTED_FAILURES, Failure, failures, in_question
from models.evaluation.results import EvaluationResult

NOTABLE = 0.01  # change of an image's Dice that is counted


@dataclasses.dataclass(frozen=True)
class FailureTable:
    """The images on which one variant is worse than the baseline.

    Attributes:
        name: The variant's name.
        summary: How many images, in a sentence.
        lines: The largest losses: file name, pixels of the lesion, Dice of the baseline, Dice of the variant, the
            kind of fault.
        both: File names of the images on which baseline and variant have Dice 0.
        open: Whether the table is unfolded when the page opens.
    """

    name: str
    summary: str
    lines: list[tuple[str, float, float, float, str]]
    both: list[str]
    open: bool


def failure_tables(comparison: Comparison, file_names: Sequence[str]) -> list[FailureTable]:
    """Returns one table for each compressed network that loses images; only the recommended one's is unfolded.

    Args:
        comparison: The variants.
        file_names: File names of the evaluated images, in order; may be shorter where they are not known.
    """
    shown, tables = in_question(comparison), []
    for result in comparison.compressed:
        images, worse = len(result.per_image.get("dice", [])), failures(comparison, result)
        pairs = _paired_dice(comparison, result)
        changes = [after - before for before, after in pairs]
        both = [_file_name(file_names, row) for row, pair in enumerate(pairs) if max(pair) == 0]
        tables.append(
            FailureTable(
                name=result.name,
                summary=(
                    f"of {images} images {sum(change < -NOTABLE for change in changes)} lose and "
                    f"{sum(change > NOTABLE for change in changes)} gain more than {NOTABLE:g} in Dice"
                ),
                lines=[
                    (_file_name(file_names, each.row), each.lesion_px, each.baseline_dice, each.dice, _fault(each))
                    for each in worse[:LISTED_FAILURES]
                ],
                both=both,
                open=result is shown,
            )
        )
    return sorted((table for table in tables if table.lines or table.both), key=lambda table: not table.open)


def _fault(failure: Failure) -> str:
    """Returns the kind of fault on an image of which nothing is right; empty for others."""
    if failure.dice > 0:
        return ""
    return "missed" if failure.lesion_px > 0 else "false alarm" if failure.lesion_px == 0 else ""


def _paired_dice(comparison: Comparison, result: EvaluationResult) -> list[tuple[float, float]]:
    """Returns (Dice of the baseline, Dice of the variant) of every image."""
    baseline = comparison.baseline.per_image.get("dice", []) if comparison.baseline is not None else []
    return list(zip(baseline, result.per_image.get("dice", []), strict=False))


def _file_name(names: Sequence[str], row: int) -> str:
    return names[row] if row < len(names) else f"image {row} of the split"
