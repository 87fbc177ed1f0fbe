"""Dice against a cost: parameters, multiply-accumulates or time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from analysis.comparison import Comparison
from analysis.front import front_names
from analysis.intervals import Interval
from analysis.ranking import JUDGED, USEFUL_SHARE, metric
from models.evaluation.results import EvaluationResult
from reporting.plots.labels import Label, label_points
from reporting.plots.series import SERIES, by_series, by_training, series_name, short_label
from reporting.plots.style import GRAY, WIDE_RANGE, draw_baseline, draw_intervals, new_figure

_MAX_LABELS = 20  # with more variants, only those to choose from are labelled
_MIN_SPAN = 0.02  # of the Dice axis, so that noise in the fourth digit does not look like a result
_FLOOR = 0.07  # where points below the axis stand, as share of its height


@dataclasses.dataclass(frozen=True)
class CostAxis:
    """A cost that Dice is drawn against.

    Attributes:
        title: The cost, as in "Dice against ...".
        label: Label of the axis, with the unit; `{machine}` stands for where times were measured.
        read: Returns the cost of a variant; 0 where it is not known.
        ends: Returns its 95 % interval, of costs that are measured; these are relative to the baseline's.
        told_apart: Whether the cost counts in the front: one that is measured does where it is not told apart from the
            baseline's by chance alone.
    """

    title: str
    label: str
    read: Callable[[EvaluationResult], float]
    ends: Callable[[EvaluationResult], tuple[float, float]] | None = None
    told_apart: Callable[[EvaluationResult], bool] = lambda _: True


def _time(result: EvaluationResult) -> float:
    return result.latency.ratio if result.latency is not None else 0


def _time_ends(result: EvaluationResult) -> tuple[float, float]:
    return (result.latency.low, result.latency.high) if result.latency is not None else (math.nan, math.nan)


def _time_told_apart(result: EvaluationResult) -> bool:
    return result.spec.is_baseline or (result.latency is not None and result.latency.differs)


COSTS = {
    "bytes": CostAxis("file size", "bytes of the weights file", lambda result: result.cost.size_bytes),
    "params": CostAxis("network size", "parameters of the network", lambda result: result.cost.params),
    "macs": CostAxis("computation", "multiply-accumulates for one image", lambda result: result.cost.macs),
    "latency": CostAxis("time", "time for one image, baseline = 1 ({machine})", _time, _time_ends, _time_told_apart),
}


def draw_tradeoff(comparison: Comparison, cost: str = "params") -> Figure | None:
    """Draws mean Dice with 95 % intervals against a cost, and the best trade-offs of that cost.

    The axis of Dice spans the networks that keep half of the baseline's Dice; those below stand at the foot of the axis
    with an arrow and their value.

    Args:
        comparison: The variants.
        cost: Key of `COSTS`; variants whose cost is not known are left out, and twins in few bits but for the bytes, as
            they have all other costs of the network that they were rounded from.

    Returns:
        The figure, None where no variant has both Dice and cost.
    """
    of_cost = COSTS[cost]
    results = [r for r in comparison.results if cost == "bytes" or r.spec.weight_bits is None]
    shown = [r for r in results if not math.isnan(metric(r, JUDGED)) and _known(of_cost, r) > 0]
    if not shown:
        return None
    intervals = {r.name: comparison.qualities[r.name].mean.get(JUDGED) for r in shown}
    figure = new_figure(9, 5.8)
    axes = figure.subplots()
    low, high = _limits(shown, comparison.baseline, intervals)
    floor = low + _FLOOR * (high - low)
    below = [r for r in shown if metric(r, JUDGED) < low]
    points = {r.name: (of_cost.read(r), floor if r in below else metric(r, JUDGED)) for r in shown}
    front = front_names(shown, lambda result: _known(of_cost, result) if of_cost.told_apart(result) else math.nan)
    _draw_series(axes, shown, of_cost, intervals)
    _draw_front(axes, [points[r.name] for r in shown if r.name in front], of_cost.title)
    for result in below:
        _draw_below(axes, result, points[result.name], low)
    _scale_cost(axes, [x for x, _ in points.values()], relative=of_cost.ends is not None)
    axes.set_ylim(low, high)
    if comparison.baseline in shown:
        draw_baseline(axes, metric(comparison.baseline, JUDGED), intervals[comparison.baseline.name])
    bars = any(interval is not None and interval.high > interval.low for interval in intervals.values())
    some = len(shown) > _MAX_LABELS
    axes.set_title(f"Dice against {of_cost.title}" + " (labels: as trained, best trade-offs, recommended)" * some)
    crosses = "" if all(of_cost.told_apart(r) for r in shown) else "; crosses: not told apart from it"
    axes.set(
        xlabel=of_cost.label.format(machine=comparison.machine.title if comparison.machine else "") + crosses,
        ylabel=f"Dice (mean over images with a lesion{f', bars: {comparison.interval_name}' if bars else ''})",
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False, markerscale=0.8)
    labels = [_label(r, points[r.name], comparison, cut=r in below) for r in _labelled(shown, front, comparison)]
    label_points(figure, axes, labels, np.array(list(points.values())))
    return figure


def _known(cost: CostAxis, result: EvaluationResult) -> float:
    value = cost.read(result)
    return value if math.isfinite(value) and value > 0 else math.nan


def _limits(
    shown: Sequence[EvaluationResult],
    baseline: EvaluationResult | None,
    intervals: dict[str, Interval | None],
) -> tuple[float, float]:
    """Returns limits of Dice that hold every useful variant with its interval, and others if they are near."""
    dices = [metric(r, JUDGED) for r in shown]
    full = metric(baseline, JUDGED) if baseline is not None and baseline in shown else max(dices)
    useful = [r for r in shown if metric(r, JUDGED) >= USEFUL_SHARE * full]
    ends = [metric(r, JUDGED) for r in useful]
    ends += [
        end for r in useful if (found := intervals[r.name]) and not found.too_few for end in (found.low, found.high)
    ]
    low, high = min(ends), max(ends)
    span = max(high - low, _MIN_SPAN)
    low = min([low, *(dice for dice in dices if dice >= low - span / 2)])
    widen = max(0.0, _MIN_SPAN - (high - low)) / 2
    low, high = low - widen, high + widen
    span = high - low
    return low - (0.2 if min(dices) < low else 0.1) * span, high + 0.12 * span


def _draw_series(
    axes: Axes,
    shown: Sequence[EvaluationResult],
    cost: CostAxis,
    intervals: dict[str, Interval | None],
) -> None:
    for name, group in by_series(shown).items():
        series = SERIES[name]
        size = 13 if name == "baseline" else 7
        for number, (training, members) in enumerate(by_training(group).items()):
            curve = sorted((cost.read(r), metric(r, JUDGED)) for r in members)
            look = series.look() | ({"alpha": 0.6, "markerfacecolor": "white"} if training else {})
            label = series.title if number == 0 else f"_{training}"
            axes.plot(*zip(*curve, strict=True), **look, markersize=size, linewidth=1.2, label=label)
        for result in group:
            if not cost.told_apart(result):  # a cross, on white instead of the series' own mark
                point = cost.read(result), metric(result, JUDGED)
                axes.plot(*point, color="white", marker="s", markersize=size + 1.5, label="_ground")
                axes.plot(*point, color=series.color, marker="x", markersize=size, label="_cross")
        if cost.ends is not None:
            low, high = zip(*(cost.ends(r) for r in group), strict=True)
            axes.hlines([metric(r, JUDGED) for r in group], low, high, series.color, linewidths=1, alpha=0.55, zorder=1)
        if name != "baseline":  # its interval is the band
            draw_intervals(axes, [cost.read(r) for r in group], [intervals[r.name] for r in group], series.color)


def _draw_below(axes: Axes, result: EvaluationResult, point: tuple[float, float], low: float) -> None:
    """Draws a variant that is below the limits at the foot of the axis, with an arrow and without a line."""
    look = {**SERIES[series_name(result)].look(), "linestyle": "none", "label": "_below"}
    axes.plot(*point, **look, markersize=7)
    axes.annotate("", (point[0], low), point, arrowprops={"arrowstyle": "-|>", "color": GRAY, "shrinkA": 3})


def _draw_front(axes: Axes, points: Sequence[tuple[float, float]], cost: str) -> None:
    """Rings the front and joins it by steps: the best Dice that is reached at each cost."""
    if not points:
        return
    front = np.array(sorted(points))
    steps = np.repeat(front, 2, axis=0)
    axes.plot(steps[1:, 0], steps[:-1, 1], color="#bbbbbb", linewidth=1, zorder=0.5, label="_front")
    axes.scatter(
        front[:, 0], front[:, 1], s=190, facecolors="none", edgecolors=GRAY, label=f"best trade-offs of Dice and {cost}"
    )


def _scale_cost(axes: Axes, costs: Sequence[float], *, relative: bool) -> None:
    """Writes costs as 200 k, 1 M, ..., relative ones as 0.5, on a logarithmic axis if they differ by `WIDE_RANGE`."""
    axes.margins(x=0.1)
    if max(costs) >= WIDE_RANGE * min(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter("{x:g}" if relative else EngFormatter())


def _labelled(
    shown: Sequence[EvaluationResult], front: frozenset[str], comparison: Comparison
) -> list[EvaluationResult]:
    """Returns the variants to label: all, or of many those to choose from. These come first: they are placed first."""
    first = [r for r in shown if r.name in front or r.spec.is_dense or r is comparison.recommended]
    return first if len(shown) > _MAX_LABELS else first + [r for r in shown if r not in first]


def _label(result: EvaluationResult, point: tuple[float, float], comparison: Comparison, *, cut: bool) -> Label:
    text = short_label(result)
    if cut:
        text += f": Dice {metric(result, JUDGED):.2f}"
    chosen = result is comparison.recommended
    if chosen:
        text += " (recommended)"
    return Label(text, *point, SERIES[series_name(result)].color, "bold" if chosen else "normal")
