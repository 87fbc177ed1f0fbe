"""Curves of training and fine-tuning."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.comparison import Comparison
from reporting.plots.series import SERIES, series_name
from reporting.plots.style import GRAY, VARIANT_MARKERS, new_figure

_LEGEND_ROWS = 25
_JUDGED = "valid_dice_lesion"


def draw_trainings(comparison: Comparison, histories: Sequence[Mapping]) -> Figure | None:
    """Draws the curves of one training, or those of several side by side; None where no epoch was trained.

    Args:
        comparison: The variants, the dense network of every training among them.
        histories: A history for each training, in the order of their dense networks.
    """
    if len(histories) < 2:
        return draw_training(histories[0]) if histories else None
    names = [result.name for result in comparison.dense]
    figure = new_figure(9, 6.5)
    losses, quality = figure.subplots(2, 1, sharex=True)
    every: set[int] = set()
    colors = dict.fromkeys(series.color for series in SERIES.values())
    looks = zip(itertools.cycle(VARIANT_MARKERS), itertools.cycle(colors), strict=False)
    for name, history, (marker, color) in zip(names, histories, looks, strict=False):
        epochs = history["epochs"]
        x = [epoch["epoch"] for epoch in epochs]
        every |= {*x}
        look = {"marker": marker, "markersize": 4, "color": color}
        losses.plot(x, _values(epochs, "valid_loss"), **look, label=name)
        y = _values(epochs, _judged(epochs))
        quality.plot(x, y, **look)
        if history.get("best_epoch") in x:
            kept = x.index(history["best_epoch"])
            quality.scatter(x[kept], y[kept], s=110, facecolors="none", edgecolors=color)
    losses.set(title="Trainings on the validation images (ringed: the epoch that was kept)", ylabel="loss")
    quality.set(xlabel="epoch", ylabel="Dice")
    _count_epochs(quality, sorted(every))
    losses.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
    figure.align_ylabels()
    return figure


def draw_training(history: Mapping) -> Figure | None:
    """Draws losses and validation Dice against the epoch; None where no epoch was trained."""
    epochs = history.get("epochs") or []
    if not epochs:
        return None
    x = [epoch.get("epoch", number) for number, epoch in enumerate(epochs, start=1)]
    figure = new_figure(8, 5.5)
    losses, quality = figure.subplots(2, 1, sharex=True)
    for axes, key, label, style in (
        (losses, "train_loss", "training", "svd"),
        (losses, "valid_loss", "validation", "arsvd"),
        (quality, _judged(epochs), "validation", "arsvd"),
    ):
        axes.plot(x, _values(epochs, key), **SERIES[style].look(), markersize=4, label=label)
    best = history.get("best_epoch")
    if best is not None:
        for axes in (losses, quality):
            axes.axvline(best, color=GRAY, linestyle=":", zorder=1, label=f"best epoch ({best})")
    losses.set(title="Training of the baseline", ylabel="loss")
    of = " with a lesion" if _judged(epochs) == _JUDGED else ""
    quality.set(xlabel="epoch", ylabel=f"Dice (mean over images{of})")
    _count_epochs(quality, x)
    for axes in (losses, quality):
        axes.legend(loc="best")
    figure.align_ylabels()
    return figure


def _values(epochs: Sequence[Mapping], key: str) -> list[float]:
    """Returns a value of each epoch, NaN where it is not known."""
    return [math.nan if epoch.get(key) is None else epoch[key] for epoch in epochs]


def _judged(epochs: Sequence[Mapping]) -> str:
    """Returns by which Dice epochs were chosen: where no validation image has a lesion, that of all images."""
    return _JUDGED if all(epoch.get(_JUDGED) is not None for epoch in epochs) else "valid_dice"


def draw_finetuning(comparison: Comparison) -> Figure | None:
    """Draws validation Dice against the epoch of every fine-tuned variant; None where none was fine-tuned."""
    tuned = [result for result in comparison.results if result.finetune_history.get("epochs")]
    if not tuned:
        return None
    figure = new_figure(9, 6)
    axes = figure.subplots()
    for result, marker in zip(tuned, itertools.cycle(VARIANT_MARKERS)):
        epochs = result.finetune_history["epochs"]
        x, y = [epoch["epoch"] for epoch in epochs], [epoch[_judged(epochs)] for epoch in epochs]
        look = {**SERIES[series_name(result)].look(), "marker": marker}
        axes.plot(x, y, **look, markersize=6, linewidth=1.2, label=result.name)
    kept = [result.finetune_history["best_epoch"] for result in tuned]
    best = [result.finetune_history[f"best_{_judged(result.finetune_history['epochs'])}"] for result in tuned]
    axes.scatter(kept, best, s=160, facecolors="none", edgecolors=GRAY, label="epoch that was kept")
    axes.margins(x=0.05, y=0.1)
    _count_epochs(axes, sorted({epoch["epoch"] for result in tuned for epoch in result.finetune_history["epochs"]}))
    axes.set(
        title="Fine-tuning of the compressed networks",
        xlabel="epoch of fine-tuning",
        ylabel="Dice on validation images (mean over images, 0 to 1)",
    )
    many = len(tuned) > _LEGEND_ROWS
    columns, size = (1 + len(tuned) // _LEGEND_ROWS, "x-small") if many else (1, "medium")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, ncols=columns, fontsize=size)
    return figure


def _count_epochs(axes: Axes, epochs: Sequence[int]) -> None:
    """Puts ticks at whole epochs only; a single epoch stands in the middle."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
