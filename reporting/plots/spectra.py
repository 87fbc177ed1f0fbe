"""Singular values of every layer, and where variants cut them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from analysis.comparison import Comparison
from analysis.singular_values import SingularValues
from models.evaluation.results import EvaluationResult
from models.variant_spec import RULES, Method
from reporting.plots.layer_ranks import largest_layers
from reporting.plots.series import SERIES, long_label, series_name
from reporting.plots.style import VARIANT_MARKERS, new_figure, shortened_layer

METHODS_OF: dict[str, tuple[Method, ...]] = {"plain": RULES, "weighted": ("budget", "size")}
_TITLES = {
    "plain": "Spectra of the layers",
    "weighted": "Spectra of the layers, weighted by the curvature of the loss",
}
_MAX_LAYERS = 24
_MAX_VARIANTS = 6
_COLUMNS = (6, 5)  # the number that leaves fewer empty places
_NAME_LENGTH = 26
_LEGEND_ENTRY = 1.35  # inches
# Inches around the panels and between them. A layout engine would measure every label of every panel, which takes as
# long as drawing all of them.
_LEFT, _RIGHT, _TOP, _BOTTOM, _BETWEEN_COLUMNS, _BETWEEN_ROWS = 0.72, 0.15, 0.62, 0.45, 0.28, 0.5
_LEGEND = 0.5
_LOWEST = 1e-6  # of the axis; values below it are rounding
_NARROW = 0.02  # an axis that ends above it has ticks between the powers of ten


def draw_spectra(comparison: Comparison, kind: str, spectra: Mapping[str, SingularValues]) -> Figure | None:
    """Draws s_i / s_1 against i for every layer, with the last singular value that variants keep as markers.

    Args:
        comparison: The variants; at most six are marked.
        kind: `plain` or `weighted`; it decides which variants are cut from these spectra.
        spectra: Layer to its singular values.

    Returns:
        The figure, None where there is no spectrum with a value above 0.
    """
    known = {name: spectrum for name, spectrum in spectra.items() if max(spectrum.values, default=0) > 0}
    if not known:
        return None
    names = _largest(known, comparison)
    columns = min(_COLUMNS, key=lambda each: (-len(names) % each, -each)) if len(names) > max(_COLUMNS) else len(names)
    rows = -(-len(names) // columns)
    variants = chosen_variants(comparison, METHODS_OF[kind])
    figure = new_figure(max(2.1 * columns, _LEGEND_ENTRY * len(variants), 6), 1.6 + 1.55 * rows, layout=None)
    _place_panels(figure, rows, columns, _BOTTOM + (_LEGEND if variants else 0))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    lowest = 1.0
    for axes, name in zip(panels, names, strict=False):
        lowest = min(lowest, _draw_layer(axes, name, known[name], variants))
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    panels[0].set_yscale("log")
    panels[0].set_ylim(max(lowest, _LOWEST) / 2, 1.6)
    panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if lowest > _NARROW else (1,), numticks=6))
    panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panels[0].yaxis.set_minor_locator(NullLocator())
    for place, axes in enumerate(panels[: len(names)]):
        if place + columns >= len(names):
            axes.set_xlabel("index i", fontsize=8)
        if place % columns == 0:
            axes.set_ylabel("$s_i / s_1$", fontsize=8)
    left_out = f" (the {len(names)} with most parameters of {len(known)})" if len(known) > len(names) else ""
    figure.suptitle(f"{_TITLES[kind]}{left_out}", fontsize=12)
    _add_legend(figure, variants)
    return figure


def chosen_variants(comparison: Comparison, methods: Sequence[str]) -> list[EvaluationResult]:
    """Returns at most six variants of some methods, in reading order.

    The recommended one comes first, then the best trade-offs, then the others, spread over what is left.
    """
    group = [result for result in comparison.of_methods(*methods) if result.layers]
    first = [r for r in group if r is comparison.recommended]
    first += [r for r in group if r.name in comparison.front and r not in first]
    first = first[:_MAX_VARIANTS]
    others = [r for r in group if r not in first]
    free = min(_MAX_VARIANTS - len(first), len(others))
    spread = [others[place] for place in np.linspace(0, len(others) - 1, free).round().astype(int)]
    return [r for r in group if r in first or r in spread]


def _largest(known: Mapping[str, SingularValues], comparison: Comparison) -> list[str]:
    """Returns the layers to show, in the network's order."""
    if len(known) <= _MAX_LAYERS:
        return list(known)
    by_params = [name for name in largest_layers(comparison.results) if name in known]
    rest = sorted((name for name in known if name not in by_params), key=lambda name: -len(known[name].values))
    shown = {*(by_params + rest)[:_MAX_LAYERS]}
    return [name for name in known if name in shown]


def _draw_layer(axes: Axes, name: str, spectrum: SingularValues, variants: Sequence[EvaluationResult]) -> float:
    """Draws one panel; returns the smallest value above 0."""
    values = np.asarray(spectrum.values, dtype=np.float64)
    values = np.where(values > 0, values, np.nan) / values[0]
    indices = np.arange(1, len(values) + 1)
    axes.plot(indices, values, color="#777777", linewidth=1.2, marker="." if len(values) == 1 else "")
    for number, result in enumerate(variants):
        rank = _cut(result, name, spectrum)
        if rank is not None and values[rank - 1] > _LOWEST:
            axes.plot(rank, values[rank - 1], **_look(result, number))
        elif rank is not None:  # a value that is 0 has no place on the axis: its cut stands at the foot of the panel
            foot: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False}
            axes.plot(rank, 0, **foot, **_look(result, number))
    axes.set_title(shortened_layer(name, _NAME_LENGTH), fontsize=8, pad=3, parse_math=False)
    axes.set_xticks(sorted({1, -(-len(values) // 2), len(values)}))
    margin = max(0.5, 0.05 * len(values))
    axes.set_xlim(1 - margin, len(values) + margin)
    axes.tick_params(labelsize=7)
    return float(np.nanmin(values))


def _cut(result: EvaluationResult, name: str, spectrum: SingularValues) -> int | None:
    """Returns the rank at which a variant cuts this very spectrum, None where it does not."""
    layer = next((layer for layer in result.layers if layer.name == name), None)
    if layer is None or layer.rank is None or layer.scheme != spectrum.scheme:
        return None
    return layer.rank if 1 <= layer.rank <= len(spectrum.values) else None


def _look(result: EvaluationResult, number: int) -> dict[str, Any]:
    series = SERIES[series_name(result)]
    return {
        "color": series.color,
        "marker": VARIANT_MARKERS[number],
        "markerfacecolor": series.color if series.filled else "white",
        "markersize": 5,
        "linestyle": "none",
    }


def _place_panels(figure: Figure, rows: int, columns: int, bottom: float) -> None:
    """Sets the places of panels from lengths in inches."""
    width, height = figure.get_size_inches()
    panel_width = (width - _LEFT - _RIGHT - (columns - 1) * _BETWEEN_COLUMNS) / columns
    panel_height = (height - _TOP - bottom - (rows - 1) * _BETWEEN_ROWS) / rows
    figure.subplots_adjust(
        left=_LEFT / width,
        right=1 - _RIGHT / width,
        top=1 - _TOP / height,
        bottom=bottom / height,
        wspace=_BETWEEN_COLUMNS / panel_width,
        hspace=_BETWEEN_ROWS / panel_height,
    )


def _add_legend(figure: Figure, variants: Sequence[EvaluationResult]) -> None:
    """Writes which marker is which variant below all panels."""
    if not variants:
        return
    marks = [Line2D([], [], label=long_label(r), **_look(r, number)) for number, r in enumerate(variants)]
    title = "last singular value that is kept by"
    figure.legend(
        handles=marks, loc="lower center", ncols=len(marks), fontsize=8, title=title, title_fontsize=8, frameon=False
    )
