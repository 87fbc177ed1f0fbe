"""Tables and picture of docs/results.md from a run of the pipeline, whose command the page names.

    python run_pipeline.py ... --out_dir FOLDER
    python benchmarks/run_page.py FOLDER --name NAME

Where the run has several widths, a row is a width and a method, and a column a share of the baseline's parameters.
Where it has several seeds, every figure is a mean over trainings with its interval over trainings and images. What is
read is `experiment_summary.json`; Dice is that of test images with a lesion.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from analysis.ranking import TITLES  # noqa: E402
from benchmarks.pages import write_section  # noqa: E402
from models.variant_spec import BASELINE  # noqa: E402
from reporting.plots.series import SERIES  # noqa: E402

_DICE = "dice_lesion"
# Colours are those of methods in the report; line and marker say which training.
_LINES, _MARKERS = ("-", "--", ":", "-."), ("o", "s", "^", "D", "v")


@dataclasses.dataclass(frozen=True)
class Row:
    """One network, or one of every seed.

    Attributes:
        name: The variant; of every seed, that of the first.
        training: The width it was made of, and whether that was taught.
        method: How it was made, as `SERIES` names it.
        share: Its parameters, as a share of the baseline's.
        dice: Its Dice with its interval: mean, low, high.
        sd: Standard deviation over trainings; None where there is one.
        change: Dice minus the dense network's, likewise; None of that network itself.
    """

    name: str
    training: str
    method: str
    share: float
    dice: tuple[float, float, float]
    sd: float | None
    change: tuple[float, float, float] | None

    @property
    def column(self) -> float:
        """The power of a half that its size is nearest to."""
        return float(2.0 ** round(math.log2(self.share)))


def main() -> None:
    """Writes the section of the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path, help="of the run")
    parser.add_argument("--name", required=True, help="of the section and the picture")
    arguments = parser.parse_args()
    summary = json.loads((arguments.out_dir / "experiment_summary.json").read_text(encoding="utf-8"))
    rows = rows_of(summary)
    picture = ROOT / "docs" / "images" / f"front_{arguments.name}.png"
    lines = ["", *about(summary), "", f"![Dice against size](images/{picture.name})", "", *tables(rows)]
    draw(rows).savefig(picture, dpi=110)
    write_section("results.md", f"run {arguments.name}", [*lines, ""])


def rows_of(summary: dict[str, Any]) -> list[Row]:
    """Returns the networks of a run but those of `left_out`; of several seeds, their means."""
    width = summary["config"]["model"]["base_filters"]
    full = summary["baseline"]["info"]["params"]
    known = {entry["name"]: entry for entry in _entries(summary) if not _is_left_out(entry)}
    if summary.get("over_trainings"):
        lines = [line for line in summary["over_trainings"] if line["variant"] in known]
        return [_over_trainings(line, known[line["variant"]], width, full) for line in lines]
    return [_alone(entry, width, full) for entry in known.values()]


def left_out(summary: dict[str, Any]) -> list[str]:
    """Returns the networks whose size is not their parameters alone: in few bits, or of a budget of MACs, too."""
    return [entry["name"] for entry in _entries(summary) if _is_left_out(entry)]


def about(summary: dict[str, Any]) -> list[str]:
    """Returns what was trained and tested, what columns are, and what is left out, in sentences."""
    trainings, config = summary["trainings"], summary["config"]
    every = ", ".join(dict.fromkeys(_training(each, config["model"]["base_filters"]) for each in trainings))
    seeds = dict.fromkeys(each["seed"] for each in trainings)
    height, width = config["data"]["image_size"]
    images = "images" if summary["intervals_over"] == "images" else "patients"
    source = f"trainings and {images}" if len(seeds) > 1 else images
    without = left_out(summary)
    return [
        f"Trained: {every}, {config['training']['epochs']} epochs at {height}x{width}, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}. Dice of test images with a lesion, "
        f"and its 95 % interval over {source}. "
        "Each network is in the column that is nearest to its share of the baseline's parameters, in steps of a half."
        + (f" Left out are networks in few bits, and of budgets of MACs: {', '.join(without)}." if without else "")
    ]


def tables(rows: list[Row]) -> list[str]:
    """Returns Dice by method and size, and the differences to the dense network of the first width.

    Raises:
        ValueError: Two networks fall into one cell.
    """
    columns = sorted({row.column for row in rows}, reverse=True)
    shares = " | ".join(f"{100 * column:.3g} %" for column in columns)
    head = [f"| trained | method | {shares} |", "|---" * (len(columns) + 2) + "|"]
    dice, changes = [], []
    for training, method in dict.fromkeys((row.training, row.method) for row in rows):
        found = [_of(rows, training, method, column) for column in columns]
        title = f"| {training} | {_title(method)}"
        dice.append(f"{title} | {' | '.join('-' if row is None else _dice(row) for row in found)} |")
        if any(row is not None and row.change is not None for row in found):
            changes.append(f"{title} | {' | '.join('-' if row is None else _change(row) for row in found)} |")
    note = "Minus the dense network of the first width; **bold** where the interval excludes zero."
    return [*head, *dice, "", note, "", *head, *changes]


def draw(rows: list[Row]) -> Figure:
    """Draws Dice against the share of parameters: colour is the method, line and marker the training."""
    figure = Figure(figsize=(8.2, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    trainings = list(dict.fromkeys(row.training for row in rows))
    for training, method in dict.fromkeys((row.training, row.method) for row in rows):
        line = sorted((r for r in rows if (r.training, r.method) == (training, method)), key=lambda row: row.share)
        number = trainings.index(training)
        x, y = [100 * row.share for row in line], [row.dice[0] for row in line]
        spread = [[row.dice[0] - row.dice[1] for row in line], [row.dice[2] - row.dice[0] for row in line]]
        axes.errorbar(
            x,
            y,
            spread,
            color=SERIES[method].color,
            linestyle=_LINES[number % len(_LINES)],
            marker=_MARKERS[number % len(_MARKERS)],
            label=f"{training}, {_title(method)}",
            capsize=2,
            elinewidth=0.6,
            markersize=5,
        )
    axes.axhline(rows[0].dice[0], color="black", linewidth=0.6)
    axes.set_xscale("log", base=2)
    columns = sorted({row.column for row in rows})
    axes.set_xticks([100 * c for c in columns], [f"{100 * c:.3g}" for c in columns])
    axes.minorticks_off()
    axes.set_xlabel("parameters, % of the baseline's")
    axes.set_ylabel("Dice of test images with a lesion (95 % interval)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _alone(entry: dict[str, Any], width: int, full: int) -> Row:
    intervals, dice = entry["intervals"], entry["metrics"][_DICE]
    change = intervals.get("change", {})
    return Row(
        name=entry["name"],
        training=_training(entry, width),
        method=_method(entry),
        share=entry["info"]["params"] / full,
        dice=(dice, *_ends(intervals["ci95"])),
        sd=None,
        change=(change[_DICE], *_ends(change)) if _DICE in change else None,
    )


def _over_trainings(line: dict[str, Any], first: dict[str, Any], width: int, full: int) -> Row:
    dice, change = line[_DICE], line["change"]
    return Row(
        name=line["variant"],
        training=_training(line, width),
        method=_method(first),
        share=line["params"] / full,
        dice=(dice["mean"], *dice["interval"]),
        sd=dice["sd"],
        change=None if change["mean"] is None else (change["mean"], *change["interval"]),
    )


def _training(entry: dict[str, Any], width: int) -> str:
    taught = ", taught" if entry.get("distilled") else ""
    return f"{entry.get('filters') or width} filters{taught}"


def _entries(summary: dict[str, Any]) -> list[dict[str, Any]]:
    return [summary["baseline"], *(e for method in TITLES for e in summary.get(f"{method}_variants", []))]


def _is_left_out(entry: dict[str, Any]) -> bool:
    return entry["method"] == "size" or not {"weight_bits", "mac_budget"}.isdisjoint(entry)


def _method(entry: dict[str, Any]) -> str:
    """Returns the key in `SERIES`: what a rule finds by itself is another than what it was made to meet."""
    at_budget = f"{entry['method']}_at_budget"
    return at_budget if "budget" in entry and at_budget in SERIES else str(entry["method"])


def _title(method: str) -> str:
    return "as trained" if method == BASELINE.method else SERIES[method].title


def _ends(interval: dict[str, float]) -> tuple[float, float]:
    return interval[f"{_DICE}_low"], interval[f"{_DICE}_high"]


def _of(rows: Iterable[Row], training: str, method: str, column: float) -> Row | None:
    found = [r for r in rows if (r.training, r.method, r.column) == (training, method, column)]
    if len(found) > 1:
        first, second, *_ = (f"{row.name} ({100 * row.share:.3g} %)" for row in found)
        raise ValueError(
            f"{first} and {second} fall into one cell, {training}, {_title(method)}, {100 * column:.3g} %: give "
            "the run sizes that are a factor of two apart"
        )
    return found[0] if found else None


def _dice(row: Row) -> str:
    spread = "" if row.sd is None else f", sd {row.sd:.3f}"
    return f"{row.dice[0]:.4f} ({row.dice[1]:.3f} to {row.dice[2]:.3f}{spread})"


def _change(row: Row) -> str:
    if row.change is None:
        return "-"
    mean, low, high = row.change
    text = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"**{text}**" if low > 0 or high < 0 else text


if __name__ == "__main__":
    main()
