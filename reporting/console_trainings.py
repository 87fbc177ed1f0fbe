"""What several trainings say, as tables on the screen."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from analysis.comparison import Comparison
from analysis.intervals import TOO_FEW
from reporting.console_cells import change_text, plain_table

SIZES_NOTE = (
    "at most that share of the baseline's {unit}, and 1 % of it more: the best by valid, of all widths and methods"
)
TRAININGS_NOTE = (
    "means over {number} trainings; sd: over trainings; intervals, 95 %, over trainings and {units};\n"
    "change: minus the baseline of the same seed"
)
SIZES_DIFFER = "{}: networks of different sizes, {:,} to {:,} parameters, so its mean is of no size"


def print_at_sizes(comparison: Comparison, console: Console) -> None:
    """Prints, where there are several widths, the network to take at each size."""
    if not comparison.has_several_widths or not comparison.at_sizes or comparison.is_useless:
        return
    table = plain_table()
    for column in ("at most", "take", "width", "made by", "has", "Dice"):
        table.add_column(column, justify="right" if column in ("at most", "has", "Dice") else "left", no_wrap=True)
    for line in comparison.at_sizes:
        limit, share = (f"{100 * value:.3g} %" for value in (line.limit, line.share))
        table.add_row(limit, line.result.name, line.width, line.way, share, f"{line.dice:.4f}")
    console.print()
    console.print(table)
    unit = "bytes" if comparison.has_few_bits else "parameters"
    over = "; Dice: means over trainings" if comparison.over_trainings else ""
    console.print(Text(SIZES_NOTE.format(unit=unit) + over, style="dim"))


def print_over_trainings(comparison: Comparison, console: Console) -> None:
    """Prints, where there are several seeds, mean and spread of every variant over the trainings."""
    if not comparison.over_trainings or comparison.is_useless:
        return
    table = plain_table()
    for column in ("over trainings", "Dice", "sd", "interval", "change"):
        table.add_column(column, justify="left" if column == "over trainings" else "right", no_wrap=True)
    for line in comparison.over_trainings:
        ends = "-" if line.mean is None else TOO_FEW
        if line.mean is not None and not line.mean.too_few:
            ends = f"{line.mean.low:.3f} {line.mean.high:.3f}"
        table.add_row(line.name, f"{line.dice:.4f}", f"{line.sd:.4f}", ends, change_text(line.change))
    console.print()
    console.print(table)
    first = comparison.over_trainings[0]
    number, units = len(first.variants), "images" if first.mean is None else first.mean.unit
    console.print(Text(TRAININGS_NOTE.format(number=number, units=units), style="dim"))
    for line in comparison.over_trainings:
        if line.sizes is not None:
            console.print(Text(SIZES_DIFFER.format(line.name, *line.sizes), style="dim"))
