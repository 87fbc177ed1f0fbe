"""What tables on the screen share."""

from __future__ import annotations

from rich.table import Table

from analysis.intervals import TOO_FEW, Interval
from analysis.signed_numbers import signed_ends


def plain_table() -> Table:
    """Returns a table without lines, whose columns are close together."""
    return Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)


def change_text(interval: Interval | None, *, ends: bool = True) -> str:
    """Returns for example `-.013 [-.021 -.005]*`, short, as three of them have to fit in a line."""
    if interval is None:
        return "-"
    if interval.too_few:
        return TOO_FEW
    mean, low, high = (text.replace("0.", ".", 1) for text in signed_ends(interval))
    return f"{mean}{f' [{low} {high}]' if ends else ''}{'*' if interval.excludes_zero else ' '}"
