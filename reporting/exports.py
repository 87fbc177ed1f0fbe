"""The files to deploy: written to the folder of results, as a table on the screen, in words and in the summary."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.deployment.layout import RECORD
from models.deployment.records import ExportedFile, Exports
from reporting.summary import to_json
from torch_lowrank.whole_files import whole_folder

if TYPE_CHECKING:
    from analysis.comparison import Comparison

NOTHING = "nothing was exported, as no variant is recommended; choose one by --export_variant"
_JUDGED = ("dice_lesion", "dice")  # the first that there is
_MEANING = "differs: the largest difference of a probability;\nchanged: pixels with another label; time: of one image"


def write_exports(exports: Exports | None, folder: Path) -> None:
    """Writes the files of a variant to a folder of its name, whole or not at all, and removes those of other runs.

    Args:
        exports: The files; None where the run exports nothing.
        folder: The folder of all exports. Folders in it that no run has written are left alone.
    """
    kept = None if exports is None else exports.variant
    for record in folder.glob(f"*/{RECORD}"):
        if record.parent.name != kept:
            shutil.rmtree(record.parent)
    if exports is None or exports.variant is None:
        return
    with whole_folder(folder / exports.variant) as new:
        for name, content in exports.files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(content)
        (new / RECORD).write_bytes(to_json(exports.to_dict()))


def exports_summary(exports: Exports, comparison: Comparison) -> dict[str, Any]:
    """Returns what the summary of a run says: all that was measured, and what is wrong in words."""
    return {**exports.to_dict(), "notes": export_sentences(exports, comparison.tolerated_loss)}


def export_faults(exports: Exports | None) -> list[str]:
    """Returns why files that were asked for are not there."""
    if exports is None:
        return []
    if exports.variant is None:
        return [NOTHING]
    return [entry.fault for entry in exports.formats if entry.fault is not None]


def export_sentences(exports: Exports | None, tolerated: float) -> list[str]:
    """Returns what is to be known of the files besides figures: faults, and losses of Dice above what is tolerated.

    Args:
        exports: The files.
        tolerated: The loss of Dice that is tolerated in the recommended network.
    """
    if exports is None:
        return []
    return [*export_faults(exports), *_losses(exports, tolerated)]


def print_exports(exports: Exports, comparison: Comparison, console: Console) -> None:
    """Prints one line for each file, beside the network in PyTorch, and what is wrong."""
    console.print()
    if exports.variant is not None:
        console.print(_table(exports, network_bytes(exports, comparison)))
        console.print(Text(f"exported: {exports.variant}, run over the test images by each runtime; {_MEANING}", "dim"))
    for sentence in export_sentences(exports, comparison.tolerated_loss):
        console.print(Text(sentence))


def _losses(exports: Exports, tolerated: float) -> Iterator[str]:
    for entry in exports.formats:
        lost = _dice(exports.metrics) - _dice(entry.measured.metrics) if entry.measured is not None else math.nan
        if entry.fault is None and lost > tolerated:
            yield (
                f"{entry.file} loses {lost:.4f} of {exports.variant}'s Dice on the test images, more than the "
                f"{tolerated:g} that is tolerated: use another format"
            )


def _dice(metrics: dict[str, float]) -> float:
    return next((metrics[name] for name in _JUDGED if name in metrics), math.nan)


def network_bytes(exports: Exports, comparison: Comparison) -> int | None:
    """Returns the bytes of the exported network's own weights file; None where it is not among the results."""
    return next((each.cost.size_bytes for each in comparison.results if each.name == exports.variant), None)


def _table(exports: Exports, own_bytes: int | None) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("file", no_wrap=True)
    for column in ("MB", "Dice", "differs", "changed", "ms", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    if exports.latency is not None:
        dice, latency = f"{_dice(exports.metrics):.4f}", f"{exports.latency.ms:.1f}"
        table.add_row("(PyTorch)", _megabytes(own_bytes), dice, "", "", latency, "1.00")
    for entry in exports.formats:
        table.add_row(entry.file if entry.fault is None else f"({entry.format})", *_cells(entry))
    return table


def _cells(entry: ExportedFile) -> tuple[str, ...]:
    size = _megabytes(entry.size_bytes if entry.fault is None else None)
    if entry.measured is None:
        return size, *("-",) * 5
    found = entry.measured
    return (
        size,
        f"{_dice(found.metrics):.4f}",
        f"{found.max_difference:.1g}",
        f"{100 * found.changed_pixels:.3g} %",
        f"{found.latency.ms:.1f}",
        f"{found.latency.ratio:.2f}",
    )


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.2f}"
