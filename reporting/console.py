"""The comparison as a table on the screen."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.comparison import Comparison
from analysis.conclusions import answer, methods_answer, sizes_answer, times_answer, trainings_answer
from analysis.equal_size import PAIRS, EqualSize, methods_in
from analysis.ranking import JUDGED, metric
from analysis.table_rows import TIME_WORDS, VariantRow, variant_rows
from dataset.message_text import plural
from models.variant_spec import Method
from reporting.console_cells import change_text, plain_table
from reporting.console_trainings import print_at_sizes, print_over_trainings

WIDE = 120  # columns; from here on, methods at equal size show their Dice again
FRONT_NOTE = (
    "> best trade-offs of file size and Dice: {larger};\n"
    "  those that keep less than 90 % of the baseline's Dice are left out"
)
BEYOND_CHANCE = "larger ones if their Dice is higher by more than chance"
AT_ALL = "larger ones if their Dice is higher (images are too few for more)"
CHOSEN_NOTE = "+ recommended: {name}"
TWIN_NOTE = "time of a network in few bits (_w8): that of the one it was rounded from, as which it computes"
BEFORE_NOTE = "before: Dice straight after compression, not yet recalibrated or fine-tuned"
BYTES_NOTE = "below each size: what else fits into its bytes, the best of each method by valid"
GAIN_NOTE = "difference in Dice over the same images, 95 % interval; * excludes zero"
WIDEST = 10_000  # columns that a table may have where it is only measured
FEW_IMAGES = 20  # up to so many are counted: 3 of 8, where 37.5 % looks more exact than it is
_FEWEST_PAIRS = 3  # differences at equal size that are shown however narrow the screen is
TIME_INTERVAL, CHANGE_INTERVAL = "interval of time", "interval of change"
# What stands below the headings, for those who do not know them; no wider than the figures.
WORDS = {
    "before": "Dice",
    "Dice": "0 to 1",
    "change": "Dice",
    "found": "lesion",
    "alarms": "false",
    "IoU": "0 to 1",
    "patient": "Dice",
    "accuracy": "pixels",
    "parameters": "network",
    "saved %": "params",
    "MB": "file",
    "GMACs": "work",
    "time": "ratio",
    CHANGE_INTERVAL: "Dice, 95 % interval",
    TIME_INTERVAL: "ratio, 95 %",
}
# What a screen that is too narrow goes without, the first first; names and parameters are always there.
LEFT_OUT_FIRST = (
    *("MB", "accuracy", "patient", TIME_INTERVAL, "IoU", "saved %", "alarms", "GMACs"),
    *(CHANGE_INTERVAL, "before", "found", "time", "change"),
)
PATIENT_NOTE = "{noun}: mean over {nouns} of the Dice of all their images taken as one"


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints the variants, the methods at equal size, and the answer in words."""
    print_table(comparison, console)
    print_equal_sizes(comparison, console)
    print_equal_bytes(comparison, console)
    print_at_sizes(comparison, console)
    print_over_trainings(comparison, console)
    console.print()
    shares = next((result.factorizable for result in comparison.results if result.factorizable is not None), None)
    found = shares and f"{shares.describe()}."
    said = (answer, sizes_answer, trainings_answer, methods_answer, times_answer)
    for sentence in (found, *(each(comparison) for each in said)):
        if sentence:
            console.print(Text(sentence))


def print_table(comparison: Comparison, console: Console) -> None:
    """Prints one line for each variant. What the screen has no place for is left out, by importance; names are whole.

    Args:
        comparison: The variants.
        console: Where to print; colours appear in a terminal only. A wide one gets more columns.
    """
    rows, shown = variant_rows(comparison), _known_columns(comparison)
    table, left_out = _variants_table(comparison, rows, shown), list[str]()
    for column in _left_out_first(comparison):
        if _width(table, console) <= console.width:
            break
        if column in shown:
            shown.remove(column)
            left_out.append(column)
            table = _variants_table(comparison, rows, shown)
    table.width = _width(table, console)  # names are not cut on a screen that is narrower still
    console.print(table, crop=False)
    for note in _notes(comparison, rows, shown):
        console.print(Text(note, style="dim"))
    if left_out:
        console.print(Text(f"more columns: results.csv ({', '.join(left_out)})", style="dim"))


def _left_out_first(comparison: Comparison) -> list[str]:
    """Returns the columns that may be left out, in that order: what a budget was given for, late."""
    first = [] if any(result.spec.mac_budget is not None for result in comparison.results) else ["GMACs"]
    columns = [*first, *LEFT_OUT_FIRST]
    return [column for column in columns if column != "MB"] + ["MB"] if comparison.has_few_bits else columns


def print_equal_sizes(comparison: Comparison, console: Console) -> None:
    """Prints one line for each budget: the differences between methods, and on a wide screen the Dice of each again.

    Of many rules, as many differences as the screen has room for; the others are in the report.
    """
    lines = comparison.equal_sizes
    if not lines:
        return
    pairs = [pair for pair in PAIRS if any(pair in line.dice_gains for line in lines)]
    methods = methods_in(lines) if console.width >= WIDE else []
    table, shown = _sizes_table(lines, methods, pairs), len(pairs)
    while shown > _FEWEST_PAIRS and _width(table, console) > console.width:
        shown -= 1
        table = _sizes_table(lines, methods, pairs[:shown])
    console.print()
    console.print(table)
    if shown < len(pairs):
        left_out = ", ".join(f"{method} - {other}" for method, other in pairs[shown:])
        console.print(Text(f"more columns: report.html ({left_out})", style="dim"))
    over = "; Dice and differences: means over all trainings" if comparison.over_trainings else ""
    console.print(Text(f"{GAIN_NOTE}{over}", style="dim"))


def _sizes_table(
    lines: Sequence[EqualSize], methods: Sequence[Method], pairs: Sequence[tuple[Method, Method]]
) -> Table:
    table = plain_table()
    for column in ("at size", *methods, *(f"{method} - {other}" for method, other in pairs)):
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        dice = [_number(line.dice_of(method), ".4f") for method in methods]
        table.add_row(line.title, *dice, *(change_text(line.dice_gains.get(pair)) for pair in pairs))
    return table


def print_equal_bytes(comparison: Comparison, console: Console) -> None:
    """Prints each network of a size, and below it what else fits into its bytes, the best of each method by valid."""
    if not comparison.equal_bytes:
        return
    table = plain_table()
    for column in ("at bytes", "variant", "MB", "Dice", "size - other"):
        table.add_column(column, justify="left" if column == "variant" else "right", no_wrap=True)
    for line in comparison.equal_bytes:
        for result in (line.result, *line.others.values()):
            own = result is line.result
            share = f"{100 * (line.result.spec.size or 0):.4g} %" if own else ""
            gain = ("" if line.others else "nothing else fits") if own else change_text(line.gains.get(result.method))
            dice = _number(metric(result, JUDGED), ".4f")
            table.add_row(share, result.name, f"{result.cost.size_mb:.3g}", dice, gain)
    console.print()
    console.print(table)
    console.print(Text(f"{BYTES_NOTE}; {GAIN_NOTE}", style="dim"))


def interval_note(comparison: Comparison) -> str:
    """Returns what intervals are over: patients, volumes or series, or images that count as independent."""
    interval = comparison.judged_over
    if interval is None or interval.patients is None:
        return "intervals: images count as independent; --group_by says which are of a patient"
    return f"intervals: over {interval.over} with a lesion, each with all its images"


def _width(table: Table, console: Console) -> int:
    """Returns how many columns of the screen a table takes where nothing is wrapped."""
    return console.measure(table, options=console.options.update(max_width=WIDEST)).maximum


def _known_columns(comparison: Comparison) -> list[str]:
    """Returns the columns that there is something to show in, and the intervals within them, in reading order."""
    recovered = any(not math.isnan(metric(r, f"{JUDGED}_before_recovery")) for r in comparison.results)
    empty = comparison.has_empty_images
    columns = {
        "before": recovered,
        "Dice": True,
        "change": True,
        "found": empty,
        "alarms": empty,
        "IoU": True,
        "patient": comparison.test_patients is not None,
        "accuracy": not empty,
        "parameters": True,
        "saved %": True,
        "MB": True,
        "GMACs": True,
        "time": True,
        CHANGE_INTERVAL: True,
        TIME_INTERVAL: True,
    }
    return [column for column, known in columns.items() if known]


def _variants_table(comparison: Comparison, rows: Sequence[VariantRow], shown: Collection[str]) -> Table:
    columns = [column for column in shown if column not in (CHANGE_INTERVAL, TIME_INTERVAL)]
    table = plain_table()
    table.add_column("", no_wrap=True)
    table.add_column("variant\n", no_wrap=True)
    for column in columns:
        title = comparison.group_noun if column == "patient" else column
        interval = {"change": CHANGE_INTERVAL, "time": TIME_INTERVAL}.get(column)
        word = WORDS[column if interval is None or interval not in shown else interval]
        table.add_column(Text.assemble(title, "\n", (word, "not bold dim")), justify="right", no_wrap=True)
    for row in rows:
        cells = _cells(row, comparison.test_images, shown)
        mark = (">" if row.on_front else " ") + ("+" if row.chosen else "")
        style = "bold reverse green" if row.chosen else "green" if row.on_front else None
        table.add_row(*(Text(cell) for cell in (mark, row.name, *(cells[column] for column in columns))), style=style)
    return table


def _cells(row: VariantRow, images: tuple[int, int], shown: Collection[str]) -> dict[str, str]:
    with_lesion, without = images
    return {
        "before": _number(row.dice_before, ".4f"),
        "Dice": _number(row.metrics[JUDGED], ".4f"),
        "change": change_text(row.judged_change, ends=CHANGE_INTERVAL in shown),
        "found": _share(row.metrics["recall_images"], with_lesion),
        "alarms": _share(row.metrics["false_alarm_images"], without),
        "IoU": _number(row.metrics["iou_lesion"], ".4f"),
        "patient": _number(row.metrics["dice_patient"], ".4f"),
        "accuracy": _number(row.metrics["pixel_accuracy"], ".4f"),
        "parameters": f"{row.params:,}",
        "saved %": _number(row.reduction_pct, ".1f"),
        "MB": f"{row.size_mb:.3g}",
        "GMACs": "-" if row.macs is None else f"{row.macs / 1e9:.3f}",
        "time": _time(row, interval=TIME_INTERVAL in shown),
    }


def _notes(comparison: Comparison, rows: Sequence[VariantRow], shown: Collection[str]) -> list[str]:
    """Returns what the marks and the columns mean that are shown, and no others."""
    noun = comparison.group_noun
    few = any(row.judged_change is not None and row.judged_change.too_few for row in rows)
    change = any(row.judged_change for row in rows) and "change" in shown
    end = ", 95 % interval; * excludes zero" if CHANGE_INTERVAL in shown else "; * its 95 % interval excludes zero"
    notes = {
        FRONT_NOTE.format(larger=AT_ALL if few else BEYOND_CHANCE): any(row.on_front for row in rows),
        CHOSEN_NOTE.format(name=next((row.name for row in rows if row.chosen), "")): any(row.chosen for row in rows),
        _images_note(comparison, shown): comparison.has_empty_images,
        f"change: Dice minus the baseline's, same images{end}": change,
        interval_note(comparison): comparison.judged_over is not None,
        PATIENT_NOTE.format(noun=noun, nouns=plural(noun)): "patient" in shown,
        BEFORE_NOTE: "before" in shown,
        _time_note(rows): "time" in shown and any(row.latency is not None for row in rows),
        TWIN_NOTE: "time" in shown and any(result.spec.weight_bits is not None for result in comparison.results),
    }
    same = [f"{name} is the same network as {first}" for name, first in comparison.same_networks.items()]
    return [note for note, holds in notes.items() if holds] + same


def _images_note(comparison: Comparison, shown: Collection[str]) -> str:
    """Returns which columns are of images with a lesion, and which of the others."""
    with_lesion, without = (f"the {number} images" if number else "the images" for number in comparison.test_images)
    names = ", ".join(column for column in ("Dice", "IoU", "found") if column in shown)
    note = f"{names}: of {with_lesion} with a lesion" + ("; found: a pixel of it is" if "found" in shown else "")
    alarms = f"\nalarms: of {without} without a lesion, those in which something is found"
    return note + (alarms if "alarms" in shown else "")


def _time(row: VariantRow, *, interval: bool) -> str:
    """Returns the time relative to the baseline's, for example `0.52 [0.51 0.54]`, or a word in its place."""
    if row.latency is None:
        return "-"
    text = row.time_word or f"{row.latency.ratio:.2f}"
    return f"{text} [{row.latency.low:.2f} {row.latency.high:.2f}]" if interval else text


def _time_note(rows: Sequence[VariantRow]) -> str:
    """Returns what the column `time` is, with the baseline's milliseconds, and what the words in it mean."""
    of_baseline = next((row.latency for row in rows if row.latency is not None and row.is_baseline), None)
    unit = "" if of_baseline is None else f", which takes {of_baseline.ms:.1f} ms on {of_baseline.machine.title}"
    found = {row.time_word for row in rows}
    words = "".join(f"; {word}: {meaning}" for word, meaning in TIME_WORDS.items() if word in found)
    return f"time: for one image, divided by the baseline's{unit}{words}"


def _share(share: float | None, images: int) -> str:
    """Returns a share of so many images; 0 stands for a number that is not known."""
    if share is None:
        return "-"
    return f"{round(share * images)} of {images}" if 0 < images <= FEW_IMAGES else f"{100 * share:.1f} %"


def _number(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)
