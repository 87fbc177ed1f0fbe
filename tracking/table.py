"""The comparison as a table on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.results import EvaluationResult
from tracking.bootstrap import Interval
from tracking.equal_size import OTHERS, OURS, equal_sizes
from tracking.tradeoffs import VariantRow, variant_rows

COLUMNS = ("Dice", "IoU", "acc.", "parameters", "MB", "saved %", "ms")  # short, or a line had more than 80 columns
BEFORE = "before"
FOOTNOTE = "* Pareto front: no other variant has as few parameters and as high a Dice"
GAIN_FOOTNOTE = "over: gain of budget in Dice, same images, 95 % interval; * excludes zero"
BEFORE_FOOTNOTE = f"{BEFORE}: Dice straight after truncation, not yet recalibrated or fine-tuned"


def print_table(results: Sequence[EvaluationResult], console: Console) -> None:
    """Prints one line a variant, at most 80 columns wide while names have 16 characters or fewer.

    Args:
        results: The variants; printed in the order baseline, SVD by rank, ARSVD by tau, budgets.
        console: Where to print; colours appear in a terminal only, and lines nowhere.
    """
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("variant", overflow="fold")
    rows = variant_rows(results)
    recovered = any(row.dice_before is not None for row in rows)
    for column in ((BEFORE,) if recovered else ()) + COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        name, *numbers = _cells(row)
        cells = (name, _number(row.dice_before, ".4f"), *numbers) if recovered else (name, *numbers)
        table.add_row(*(Text(cell) for cell in cells), style="bold green" if row.on_front else None)
    console.print(table)
    if any(row.on_front for row in rows):
        console.print(Text(FOOTNOTE, style="dim"))
    if recovered:
        console.print(Text(BEFORE_FOOTNOTE, style="dim"))


def print_equal_sizes(results: Sequence[EvaluationResult], console: Console) -> None:
    """Prints one line a budget: the Dice of each method, and what `budget` gains over the others."""
    lines = equal_sizes(results)
    if not lines:
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("size", *OTHERS, OURS, *(f"over {method}" for method in OTHERS)):
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        dice = [_number(line.dice.get(method), ".4f") for method in (*OTHERS, OURS)]
        gains = [_gain(line.gains.get(method)) for method in OTHERS]
        table.add_row(f"{100 * line.budget:.4g} %", *dice, *gains)
    console.print(table)
    console.print(Text(GAIN_FOOTNOTE, style="dim"))


def _cells(row: VariantRow) -> tuple[str, ...]:
    return (
        f"{'*' if row.on_front else ' '} {row.name}",
        _number(row.dice, ".4f"),
        _number(row.iou, ".4f"),
        _number(row.pixel_accuracy, ".4f"),
        f"{row.params:,}",
        f"{row.size_mb:.2f}",
        _number(row.reduction_pct, ".1f"),
        _number(row.latency_ms, ".2f"),
    )


def _gain(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    star = "*" if interval.excludes_zero else " "
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]{star}"


def _number(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)
