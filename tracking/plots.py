"""The comparison as pictures.

Every picture is a `matplotlib.figure.Figure` of its own, without pyplot: nothing global is touched. Colours are those
of Okabe and Ito ("Color Universal Design", 2008); marker and line style repeat what colour says.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from models.results import EvaluationResult, LayerReport
from tracking.atomic import write_whole
from tracking.labels import label_points
from tracking.tradeoffs import METHODS, PARAMETER, baseline_of, front_names, in_order, metric, setting_value

DPI = 100
TITLES = {"baseline": "baseline", "svd": "SVD", "arsvd": "ARSVD", "budget": "budget"}
# method -> colour, marker, line style
STYLES = {
    "baseline": ("#000000", "*", "none"),
    "svd": ("#0072B2", "o", "-"),
    "arsvd": ("#D55E00", "s", "-."),
    "budget": ("#009E73", "^", ":"),
}
# of single variants, where those of one method share colour and line
VARIANT_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
AXIS_LABELS = {
    "svd": "SVD rank (the same for every layer)",
    "arsvd": "ARSVD tau (share of the spectrum's entropy that is kept)",
    "budget": "parameter budget (share of the baseline's parameters)",
}
WIDE_RANGE = 4  # from this ratio of largest to smallest on, an axis is logarithmic


def write_plots(results: Sequence[EvaluationResult], history: Mapping, folder: Path) -> list[Path]:
    """Draws every picture there is data for.

    Args:
        results: The evaluated variants; the baseline alone is enough.
        history: Training history, `{"epochs": [{"epoch", "train_loss", "valid_loss", "valid_dice"}], "best_epoch"}`;
            other keys are ignored, an empty one is fine.
        folder: Where the PNG files go; pictures of an earlier comparison that have no data now are removed.

    Returns:
        The files, the most telling first.
    """
    written = []
    for name, draw in _pictures(results, history).items():
        file = folder / f"{name}.png"
        figure = draw()
        if figure is None:
            file.unlink(missing_ok=True)
            continue
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        write_whole(file, png.getvalue())
        written.append(file)
    return written


def _pictures(results: Sequence[EvaluationResult], history: Mapping) -> dict[str, Callable[[], Figure | None]]:
    return {
        "dice_vs_params": lambda: draw_tradeoff(results),
        "svd_rank": lambda: draw_sweep(results, "svd"),
        "arsvd_tau": lambda: draw_sweep(results, "arsvd"),
        "budget": lambda: draw_sweep(results, "budget"),
        "layer_ranks_svd": lambda: draw_layer_ranks(results, "svd"),
        "layer_ranks_arsvd": lambda: draw_layer_ranks(results, "arsvd"),
        "layer_ranks_budget": lambda: draw_layer_ranks(results, "budget"),
        "finetuning_curves": lambda: draw_finetuning(results),
        "training": lambda: draw_training(history),
    }


def draw_tradeoff(results: Sequence[EvaluationResult]) -> Figure | None:
    """Draws Dice against parameters, one mark a variant, the Pareto front ringed; None without any Dice."""
    shown = [result for result in in_order(results) if not math.isnan(metric(result, "dice"))]
    if not shown:
        return None
    figure = _figure(8, 5)
    axes = figure.subplots()
    for method in METHODS:
        group = sorted((r for r in shown if r.method == method), key=lambda r: r.cost.params)
        if group:
            color, marker, line = STYLES[method]
            x, y = [r.cost.params for r in group], [metric(r, "dice") for r in group]
            size = 13 if marker == "*" else 8
            axes.plot(x, y, color=color, marker=marker, linestyle=line, markersize=size, label=TITLES[method])
    names = front_names(shown)
    front = np.array([(r.cost.params, metric(r, "dice")) for r in shown if r.name in names])
    axes.scatter(front[:, 0], front[:, 1], s=260, facecolors="none", edgecolors="#555555", label="Pareto front")
    _scale_params(axes, [r.cost.params for r in shown])
    axes.margins(x=0.1, y=0.14)
    axes.set(title="Dice against network size", xlabel="parameters of the network", ylabel="Dice (mean over images)")
    axes.legend(loc="best", markerscale=0.7, framealpha=0.9)
    label_points(figure, axes, [(_label(r), r.cost.params, metric(r, "dice")) for r in shown])
    return figure


def draw_sweep(results: Sequence[EvaluationResult], method: str) -> Figure | None:
    """Draws IoU and size against the one parameter of a method; None where the method has no variant.

    Against the budget, all methods that have variants at budgets are drawn.
    """
    groups = _sweep_groups(results, method)
    if not groups[method]:
        return None
    values = sorted({value for group in groups.values() for value, _ in group})
    baseline = baseline_of(results)
    figure = _figure(8, 5.5)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, label, read in (
        (panels[0], "IoU (mean over images)", lambda result: metric(result, "iou")),
        (panels[1], "size of the weights (MB)", lambda result: result.cost.size_mb),
    ):
        for each, group in groups.items():
            color, marker, line = STYLES[each]
            x, heights = [value for value, _ in group], [read(result) for _, result in group]
            axes.plot(x, heights, color=color, marker=marker, linestyle=line, markersize=8, label=TITLES[each])
        if baseline is not None:
            axes.axhline(read(baseline), color=STYLES["baseline"][0], linestyle="--", label=TITLES["baseline"])
        axes.set_ylabel(label)
        axes.margins(y=0.15)
    panels[1].set_ylim(bottom=0)
    _scale_settings(panels[1], method, values)
    panels[1].set_xlabel(AXIS_LABELS[method])
    panels[0].legend(loc="best")
    panels[0].set_title(f"Quality and size against {AXIS_LABELS[method].partition(' (')[0]}")
    figure.align_ylabels()
    return figure


def _sweep_groups(results: Sequence[EvaluationResult], method: str) -> dict[str, list[tuple[float, EvaluationResult]]]:
    """Returns the variants of a sweep, with the values of its parameter: of one method, or of all at budgets."""
    methods = PARAMETER if method == "budget" else (method,)
    parameter = PARAMETER[method]
    groups: dict[str, list[tuple[float, EvaluationResult]]] = {}
    for each in methods:
        found = [r for r in results if r.method == each and r.setting.get(parameter) is not None]
        if found or each == method:
            groups[each] = sorted(((float(r.setting[parameter]), r) for r in found), key=lambda pair: pair[0])
    return groups


def draw_layer_ranks(results: Sequence[EvaluationResult], method: str) -> Figure | None:
    """Draws the rank of every layer in every variant of a method; None where there is nothing to show."""
    group = [result for result in in_order(results) if result.method == method and result.layers]
    if not group:
        return None
    names = list(dict.fromkeys(layer.name for result in group for layer in result.layers))
    reports = [{layer.name: layer for layer in result.layers} for result in group]
    share = np.array([[_rank_share(of_variant.get(name)) for of_variant in reports] for name in names])
    figure = _figure(3.2 + 0.09 * max(map(len, names)) + 0.8 * len(group), 1.9 + 0.26 * len(names))
    axes = figure.subplots()
    image = axes.imshow(np.ma.masked_invalid(share), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_facecolor("#eeeeee")
    for row, name in enumerate(names):
        for column, of_variant in enumerate(reports):
            text = _rank_text(of_variant.get(name))
            color = "white" if share[row, column] > 0.6 else "#666666" if text == "dense" else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xticks(range(len(group)), [_label(result) for result in group], rotation=45 if len(group) > 4 else 0)
    axes.set(title=f"Rank of every layer: {TITLES[method]}", xlabel="variant", ylabel="layer")
    figure.colorbar(image, ax=axes, label="rank / full rank", fraction=0.08)
    return figure


def draw_training(history: Mapping) -> Figure | None:
    """Draws losses and validation Dice against the epoch; None where no epoch was trained."""
    epochs = history.get("epochs") or []
    if not epochs:
        return None
    x = [epoch.get("epoch", number) for number, epoch in enumerate(epochs, start=1)]
    figure = _figure(8, 5.5)
    losses, quality = figure.subplots(2, 1, sharex=True)
    for axes, key, label, style in (
        (losses, "train_loss", "training", "svd"),
        (losses, "valid_loss", "validation", "arsvd"),
        (quality, "valid_dice", "validation", "arsvd"),
    ):
        color, marker, line = STYLES[style]
        y = [math.nan if epoch.get(key) is None else epoch[key] for epoch in epochs]
        axes.plot(x, y, color=color, marker=marker, linestyle=line, markersize=4, label=label)
    best = history.get("best_epoch")
    if best is not None:
        for axes in (losses, quality):
            axes.axvline(best, color="#555555", linestyle=":", label=f"best epoch ({best})")
    losses.set(title="Training of the baseline", ylabel="loss")
    quality.set(xlabel="epoch", ylabel="Dice (mean over images)")
    quality.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (losses, quality):
        axes.legend(loc="best")
    figure.align_ylabels()
    return figure


def draw_finetuning(results: Sequence[EvaluationResult]) -> Figure | None:
    """Draws validation Dice against the epoch of every fine-tuned variant; None where none was fine-tuned."""
    tuned = [result for result in in_order(results) if result.finetune_history.get("epochs")]
    if not tuned:
        return None
    figure = _figure(9, 6)
    axes = figure.subplots()
    for result, marker in zip(tuned, itertools.cycle(VARIANT_MARKERS)):
        color, _, line = STYLES[result.method]
        epochs = result.finetune_history["epochs"]
        x, y = [epoch["epoch"] for epoch in epochs], [epoch["valid_dice"] for epoch in epochs]
        axes.plot(x, y, color=color, marker=marker, linestyle=line, markersize=6, label=result.name)
    kept = [result.finetune_history["best_epoch"] for result in tuned]
    best = [result.finetune_history["best_valid_dice"] for result in tuned]
    axes.scatter(kept, best, s=160, facecolors="none", edgecolors="#555555", label="epoch that was kept")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.05, y=0.1)
    axes.set(
        title="Fine-tuning of the compressed networks",
        xlabel="epoch of fine-tuning",
        ylabel="Dice on validation images (mean over images, 0 to 1)",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    return figure


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="tight")
    FigureCanvasAgg(figure)
    return figure


def _label(result: EvaluationResult) -> str:
    value = setting_value(result)
    if math.isnan(value):
        return result.name
    return f"{PARAMETER[result.method]} {value:g}"


def _scale_params(axes: Axes, params: Sequence[int]) -> None:
    """Counts parameters as 200 k, 1 M, ..., on a logarithmic axis where they differ much."""
    if min(params) > 0 and max(params) >= WIDE_RANGE * min(params):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(EngFormatter())


def _scale_settings(axes: Axes, method: str, values: Sequence[float]) -> None:
    """Puts a tick under every variant; ranks and budgets that differ much stand on a logarithmic axis."""
    if method != "arsvd" and max(values) >= WIDE_RANGE * min(values) > 0:
        axes.set_xscale("log", base=2)
    axes.set_xticks(values)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", labelrotation=90 if len(values) > 12 else 0)


def _rank_share(layer: LayerReport | None) -> float:
    if layer is None or layer.rank is None or not layer.full_rank:
        return math.nan
    return layer.rank / layer.full_rank


def _rank_text(layer: LayerReport | None) -> str:
    if layer is None:
        return ""
    return "dense" if layer.rank is None else str(layer.rank)
