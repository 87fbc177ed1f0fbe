"""The comparison as a table on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.comparison import Comparison
from analysis.conclusions import answer, methods_answer
from analysis.equal_size import PAIRS
from analysis.intervals import TOO_FEW, Interval
from analysis.ranking import JUDGED, PARAMETER
from analysis.signed_numbers import signed_ends
from analysis.table_rows import VariantRow, variant_rows
from models.variant_spec import BASELINE

WIDE = 120  # columns; a screen at least this wide shows everything
FOOTNOTE = "> Pareto front of those with half of the baseline's Dice and found lesions"
EMPTY_FOOTNOTE = (
    "Dice, IoU, found: of images with a lesion; found: a pixel of it is\n"
    "alarms: share of the other images, in which something is found"
)
CHANGE_FOOTNOTE = "change: Dice minus the baseline's, same images, 95 % interval; * excludes zero"
BEFORE_FOOTNOTE = "before: Dice straight after truncation, not yet recalibrated or fine-tuned"
SAME = "same"  # as the baseline's time, as far as can be told
GAIN_FOOTNOTE = "difference in Dice over the same images, 95 % interval; * excludes zero"


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints the variants, the methods at equal size, and the answer in words."""
    print_table(comparison, console)
    print_equal_sizes(comparison, console)
    console.print()
    for sentence in (answer(comparison), methods_answer(comparison)):
        if sentence:
            console.print(Text(sentence))


def print_table(comparison: Comparison, console: Console) -> None:
    """Prints one line for each variant, at most 80 columns wide while names have 17 characters or fewer.

    Args:
        comparison: The variants.
        console: Where to print; colours appear in a terminal only. A wide one gets more columns.
    """
    rows = variant_rows(comparison)
    recovered = any(row.dice_before is not None for row in rows)
    by_macs = any(result.spec.mac_budget is not None for result in comparison.results)
    wide, empty = console.width >= WIDE, comparison.has_empty_images
    columns = {
        "before": recovered,
        "Dice": True,
        "change": True,
        "found %": empty,
        "alarms %": empty,
        "IoU": wide or not (recovered or by_macs or empty),
        "accuracy": wide and not empty,
        "parameters": True,
        "saved %": wide or not (by_macs or empty),
        "MB": wide,
        "GMACs": wide or by_macs,
        "time": True,
    }
    table = _table()
    table.add_column("variant", overflow="fold")
    for column, shown in columns.items():
        if shown:
            table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        cells = _cells(row) | {"time": _time(row, interval=console.width >= WIDE)}
        mark = ">" if row.on_front else " "
        shown_cells = [cells[column] for column, shown in columns.items() if shown]
        style = "bold green" if row.on_front else None
        table.add_row(*(Text(cell) for cell in (f"{mark} {row.name}", *shown_cells)), style=style)
    console.print(table)
    for note, given in (
        (FOOTNOTE, any(row.on_front for row in rows)),
        (EMPTY_FOOTNOTE, empty),
        (CHANGE_FOOTNOTE, any(row.judged_change for row in rows)),
        (BEFORE_FOOTNOTE, recovered),
        (_time_footnote(rows), any(row.latency is not None for row in rows)),
    ):
        if given:
            console.print(Text(note, style="dim"))


def print_equal_sizes(comparison: Comparison, console: Console) -> None:
    """Prints one line for each budget: the differences between methods, and on a wide screen the Dice of each again."""
    lines = comparison.equal_sizes
    if not lines:
        return
    pairs = [pair for pair in PAIRS if any(pair in line.dice_gains for line in lines)]
    table = _table()
    methods = PARAMETER if console.width >= WIDE else ()
    for column in ("at size", *methods, *(f"{method} - {other}" for method, other in pairs)):
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        dice = [_number(line.dice_of(method), ".4f") for method in methods]
        table.add_row(f"{100 * line.budget:.4g} %", *dice, *(_interval(line.dice_gains.get(pair)) for pair in pairs))
    console.print()
    console.print(table)
    console.print(Text(GAIN_FOOTNOTE, style="dim"))


def _table() -> Table:
    return Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)


def _cells(row: VariantRow) -> dict[str, str]:
    return {
        "before": _number(row.dice_before, ".4f"),
        "Dice": _number(row.metrics[JUDGED], ".4f"),
        "change": _interval(row.judged_change),
        "found %": _percent(row.metrics["recall_images"]),
        "alarms %": _percent(row.metrics["false_alarm_images"]),
        "IoU": _number(row.metrics["iou_lesion"], ".4f"),
        "accuracy": _number(row.metrics["pixel_accuracy"], ".4f"),
        "parameters": f"{row.params:,}",
        "saved %": _number(row.reduction_pct, ".1f"),
        "MB": f"{row.size_mb:.2f}",
        "GMACs": "-" if row.macs is None else f"{row.macs / 1e9:.3f}",
    }


def _time(row: VariantRow, *, interval: bool) -> str:
    """Returns the time relative to the baseline's, for example `0.52 [0.51 0.54]`, or that it is the same."""
    if row.latency is None:
        return "-"
    text = SAME if row.takes_as_long else f"{row.latency.ratio:.2f}"
    return f"{text} [{row.latency.low:.2f} {row.latency.high:.2f}]" if interval else text


def _time_footnote(rows: Sequence[VariantRow]) -> str:
    """Returns what the column `time` is, with the baseline's milliseconds."""
    of_baseline = next((row.latency for row in rows if row.latency is not None and row.method == BASELINE.method), None)
    unit = "" if of_baseline is None else f", which takes {of_baseline.ms:.1f} ms on {of_baseline.machine.title}"
    return f"time: for one image, divided by the baseline's{unit}; {SAME}: no difference is found"


def _interval(interval: Interval | None) -> str:
    """Returns for example `-.013 [-.021 -.005]*`, short, as three of them have to fit in a line."""
    if interval is None:
        return "-"
    if interval.too_few:
        return TOO_FEW
    mean, low, high = (text.replace("0.", ".", 1) for text in signed_ends(interval))
    return f"{mean} [{low} {high}]{'*' if interval.excludes_zero else ' '}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _number(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)
