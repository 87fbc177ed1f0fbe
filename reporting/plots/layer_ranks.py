"""The rank of every layer in every variant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from analysis.comparison import Comparison
from models.evaluation.results import EvaluationResult
from reporting.plots.series import SERIES, long_label, series_name
from reporting.plots.style import new_figure, shortened_layer
from torch_lowrank.report import LayerReport

COLORS = "cividis"  # its lightness rises evenly: it reads the same in gray and for colour-blind readers
_MAX_NUMBERED = 16  # variants; beyond, cells are too narrow for numbers
_MAX_LAYERS = 60
_NAME_LENGTH = 36
_ROW = 0.25  # inches
_LIGHT = 0.55  # from this share of the colour range on, numbers are black


def draw_layer_ranks(comparison: Comparison) -> Figure | None:
    """Draws rank, and rank as share of the full rank, as layers x variants; None where no variant has layers."""
    group = [each for each in comparison.results if each.layers and each.spec.weight_bits is None]
    if not group:
        return None
    found = largest_layers(group)
    names = found[:_MAX_LAYERS] if len(found) > _MAX_LAYERS else found
    names = sorted(names, key=list(_params(group)).index)
    cells = [[{layer.name: layer for layer in r.layers}.get(name) for r in group] for name in names]
    numbered = len(group) <= _MAX_NUMBERED
    width = 4.4 + 2 * min(len(group) * (0.42 if numbered else 0.16), 6.8)
    figure = new_figure(max(width, 9), 2.4 + _ROW * len(names))
    panels = figure.subplots(1, 2, sharey=True)
    ranks = np.array([[_rank(cell) for cell in row] for row in cells])
    full = np.array([[cell.full_rank if cell else math.nan for cell in row] for row in cells])
    share = 100 * ranks / np.where(full > 0, full, math.nan)
    highest = max(2.0, np.nanmax(ranks, initial=2.0))
    for axes, title, values, norm in (
        (panels[0], "rank", ranks, LogNorm(1, highest)),
        (panels[1], "rank as share of full rank (%)", share, Normalize(0, 100)),
    ):
        _draw_panel(axes, values, cells, norm, numbered)
        _separate(axes, group)
        axes.set_title(title, fontsize=10)
        _add_scale(axes, norm)
    panels[0].set_yticks(range(len(names)), [shortened_layer(name, _NAME_LENGTH) for name in names], fontsize=8)
    panels[0].set_ylabel("layer")
    left_out = f" (the {_MAX_LAYERS} with most parameters of {len(found)})" if len(found) > len(names) else ""
    figure.suptitle(f"Rank of every layer{left_out}; hatched: stays dense", fontsize=12)
    return figure


def largest_layers(results: Sequence[EvaluationResult]) -> list[str]:
    """Returns the names of all layers of some variants, those with most parameters first."""
    params = _params(results)
    return sorted(params, key=lambda name: -params[name])


def _params(results: Sequence[EvaluationResult]) -> Mapping[str, int]:
    return {layer.name: layer.params_before for result in results for layer in result.layers}


def _draw_panel(
    axes: Axes,
    values: NDArray[np.float64],
    cells: Sequence[Sequence[LayerReport | None]],
    norm: Normalize,
    numbered: bool,
) -> None:
    dense = []
    image = axes.imshow(np.ma.masked_invalid(values), cmap=COLORS, norm=norm, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        cell = cells[row][column]
        if cell is None:
            continue
        if cell.rank is None:
            dense.append(Rectangle((column - 0.5, row - 0.5), 1, 1))
        if numbered:
            text = "dense" if cell.rank is None else _number(value)
            light = cell.rank is None or math.isnan(value) or norm(value) > _LIGHT
            look: dict[str, Any] = {
                "ha": "center",
                "va": "center",
                "fontsize": 7,
                "color": "black" if light else "white",
            }
            axes.text(column, row, text, **look, in_layout=False)  # inside the panel: the layout need not measure it
    hatched: dict[str, Any] = {"facecolor": "#eeeeee", "edgecolor": "#aaaaaa", "hatch": "////", "linewidth": 0}
    axes.add_collection(PatchCollection(dense, **hatched, in_layout=False), autolim=False)
    image.set_zorder(0)
    axes.tick_params(axis="y", length=0)


def _separate(axes: Axes, group: Sequence[EvaluationResult]) -> None:
    """Names the variants in the colour of their series, and draws a line between series."""
    series = [series_name(result) for result in group]
    axes.set_xticks(
        range(len(group)), [long_label(r) for r in group], rotation=90, fontsize=8 if len(group) <= 40 else 6
    )
    for tick, name in zip(axes.get_xticklabels(), series, strict=True):
        tick.set_color(SERIES[name].color)
    for place in range(1, len(group)):
        if series[place] != series[place - 1]:
            axes.axvline(place - 0.5, color="white", linewidth=5)
            axes.axvline(place - 0.5, color="black", linewidth=1)


def _add_scale(axes: Axes, norm: Normalize) -> None:
    bar = axes.figure.colorbar(axes.images[0], cax=axes.inset_axes((1.02, 0, 0.025, 1)))
    if isinstance(norm, LogNorm):
        highest = int(math.log2(axes.images[0].get_clim()[1] or 1))
        bar.ax.yaxis.set_major_locator(FixedLocator([2**power for power in range(highest + 1)]))
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(labelsize=7)


def _rank(layer: LayerReport | None) -> float:
    return math.nan if layer is None or layer.rank is None else float(layer.rank)


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return "<1" if 0 < value < 1 else f"{value:.0f}"
