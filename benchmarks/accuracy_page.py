"""Tables and picture of docs/results.md from what benchmarks/accuracy.py measured."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.intervals import Interval, mean_interval, paired_interval
from benchmarks.pages import write_section

TITLES = {
    "ours": "the best of a few on the validation images (`budget`)",
    "truncated": "curvature-weighted, global allocation, refined",
    "reconstructed": "the same, layers fitted to the inputs that they get (`lr.reconstruct`)",
    "svd": "SVD, one rank for all, channel",
    "svd_spatial": "SVD, one rank for all, spatial",
    "arsvd": "ARSVD `energy`, tau solved, channel",
    "arsvd_sigma": "ARSVD `sigma`, tau solved, channel",
    "evbmf": "EVBMF, ranks times one multiplier, channel",
    "hard_threshold": "optimal hard threshold, ranks times one multiplier, channel",
    "balf": "BALF's allocation, channel",
}
# Okabe and Ito's colours; marker and line repeat what colour says
STYLES = {
    "ours": ("#009E73", "^", "-"),
    "truncated": ("#999933", "<", "--"),
    "reconstructed": ("#117733", "X", "--"),
    "svd": ("#0072B2", "o", "--"),
    "svd_spatial": ("#56B4E9", "v", "--"),
    "arsvd": ("#D55E00", "s", "-."),
    "arsvd_sigma": ("#CC79A7", "D", ":"),
    "evbmf": ("#E69F00", "d", "-."),
    "hard_threshold": ("#882255", ">", ":"),
    "balf": ("#332288", "P", "-."),
}
STAGES = {
    "plain": "no training, as the method leaves the network",
    "recalibrated": "no training, BatchNorm recalibrated",
    "finetuned": "fine-tuned for {epochs} epochs after recalibration",
}


def write_page(root: Path, name: str, record: dict[str, Any]) -> None:
    """Puts the tables between the page's markers and draws the picture."""
    picture = root / "docs" / "images" / f"accuracy_{name}.png"
    draw(record).savefig(picture, dpi=110)
    lines = [*summary(record), "", f"![Dice against size](images/{picture.name})", ""]
    for stage in STAGES:
        lines += table(record, stage)
    lines += differences(record)
    write_section("results.md", f"accuracy {name}", ["", *lines])


def summary(record: dict[str, Any]) -> list[str]:
    """Returns what was measured."""
    about, baseline = record["about"], record["results"]["baseline"]
    dice = _text(mean_interval(baseline["plain"]))
    return [
        f"`{about['network']}` on the {about['test_images']} test images of `{about['data']}` at "
        f"{about['image_size'][0]}x{about['image_size'][1]}: {about['parameters']:,} parameters, baseline Dice {dice}. "
        "In each cell the mean over images and its 95 % bootstrap interval.",
    ]


def table(record: dict[str, Any], stage: str) -> list[str]:
    """Returns the table of one stage, empty where nothing was measured."""
    budgets, rows = _budgets(record), []
    for method, title in TITLES.items():
        cells = [_cell(record, method, budget, stage) for budget in budgets]
        if any(cell != "-" for cell in cells):
            rows.append(f"| {title} | {' | '.join(cells)} |")
    if not rows:
        return []
    title = STAGES[stage].format(**record["about"]["tuning"])
    return [f"**{title[0].upper()}{title[1:]}**", "", *_head("", budgets), *rows, ""]


def differences(record: dict[str, Any]) -> list[str]:
    """Returns paired differences over the same images: ours against the others and against the baseline."""
    budgets, rows = _budgets(record), []
    results = record["results"]
    for stage in STAGES:
        ours = {budget: results.get(f"ours {budget:g}", {}).get(stage) for budget in budgets}
        cells = [_difference(ours[budget], results["baseline"]["plain"]) for budget in budgets]
        if any(cell != "-" for cell in cells):
            rows.append(f"| {stage} | the baseline | {' | '.join(cells)} |")
        for method in list(TITLES)[1:]:
            others = [results.get(f"{method} {budget:g}", {}).get(stage) for budget in budgets]
            cells = [_difference(ours[budget], other) for budget, other in zip(budgets, others, strict=True)]
            if any(cell != "-" for cell in cells):
                rows.append(f"| {stage} | {TITLES[method]} | {' | '.join(cells)} |")
    head = [line.replace("|", "| |", 1) if i == 0 else line + "---|" for i, line in enumerate(_head("", budgets))]
    note = "Paired differences, ours minus the other, over the same images; **bold** where the interval excludes zero."
    return [note, "", *head, *rows, ""]


def draw(record: dict[str, Any]) -> Figure:
    """Draws Dice against the share of parameters, a panel a stage."""
    results = record["results"]
    stages = [stage for stage in STAGES if any(stage in result for result in results.values())]
    figure = Figure(figsize=(4.6 * len(stages), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(stages), sharey=True, squeeze=False)[0]
    full = statistics.fmean(results["baseline"]["plain"])
    for axes, stage in zip(panels, stages, strict=True):
        axes.axhline(full, color="black", linewidth=0.8)
        for method, (color, marker, line) in STYLES.items():
            measured = [(b, results.get(f"{method} {b:g}", {}).get(stage)) for b in _budgets(record)]
            points = [(100 * budget, mean_interval(values)) for budget, values in measured if values]
            if points:
                x, means = zip(*((share, each.mean) for share, each in points), strict=True)
                spread = [[each.mean - each.low for _, each in points], [each.high - each.mean for _, each in points]]
                label = TITLES[method].replace("`", "")
                axes.errorbar(
                    x, means, spread, color=color, marker=marker, linestyle=line, capsize=3, markersize=5, label=label
                )
        axes.set_xscale("log", base=2)
        axes.set_xticks([100 * budget for budget in _budgets(record)], [f"{100 * b:g}" for b in _budgets(record)])
        axes.minorticks_off()
        axes.set_title(STAGES[stage].format(**record["about"]["tuning"]), fontsize=10)
        axes.set_xlabel("parameters, % of the baseline's")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("Dice, mean over\ntest images (95 % interval)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _budgets(record: dict[str, Any]) -> list[float]:
    found = {float(name.split()[1]) for name in record["results"] if " " in name}
    return sorted(found, reverse=True)


def _cell(record: dict[str, Any], method: str, budget: float, stage: str) -> str:
    result = record["results"].get(f"{method} {budget:g}", {})
    if "reason" in result:
        return "cannot be met"
    return _text(mean_interval(result[stage])) if stage in result else "-"


def _difference(values: list[float] | None, others: list[float] | None) -> str:
    if values is None or others is None:
        return "-"
    found = paired_interval(values, others)
    text = f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    return f"**{text}**" if found.excludes_zero else text


def _text(interval: Interval) -> str:
    return f"{interval.mean:.4f} ({interval.low:.3f} to {interval.high:.3f})"


def _head(first: str, budgets: list[float]) -> list[str]:
    return [f"| {first} | {' | '.join(f'{100 * b:g} %' for b in budgets)} |", "|---" * (len(budgets) + 1) + "|"]
