"""Quality and size of the variants of one method against its parameter: rank, tau or budget."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from analysis.comparison import Comparison
from analysis.intervals import Interval
from analysis.ranking import AT_BUDGETS, PARAMETER, metric
from models.evaluation.results import EvaluationResult
from reporting.plots.series import SERIES, series_name
from reporting.plots.style import WIDE_RANGE, draw_baseline, draw_intervals, new_figure, shift

AXIS_LABELS = {
    "svd": "SVD rank (the same for every layer)",
    "arsvd": "ARSVD tau (share of the spectrum's entropy that is kept)",
    "budget": "parameter budget (share of the baseline's parameters)",
}
_QUALITY = "iou_lesion"
_APART = 7.0  # points between methods that have the same budget, so that their intervals can be told apart


def draw_sweep(comparison: Comparison, method: str) -> Figure | None:
    """Draws IoU and size against the parameter of a method; None where the method has no variant.

    Against the budget, all methods that have variants at budgets are drawn.
    """
    groups = _groups(comparison, method)
    if method not in groups:
        return None
    figure = new_figure(8, 5.8)
    panels = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for number, (name, group) in enumerate(groups.items()):
        _draw_curves(panels, name, group, comparison, _APART * (number - (len(groups) - 1) / 2))
    baseline = comparison.baseline
    if baseline is not None:
        draw_baseline(panels[0], metric(baseline, _QUALITY), _interval(comparison, baseline))
        draw_baseline(panels[1], baseline.cost.size_mb, None)
        for axes in panels:
            axes.lines[-1].set_label("baseline")
    panels[0].set_ylabel("IoU (mean over images with a lesion)")
    panels[0].margins(x=0.08, y=0.12)
    panels[1].set_ylabel("size of the weights (MB)")
    panels[1].margins(x=0.08, y=0.15)
    panels[1].set_ylim(bottom=0)
    _scale_settings(panels[1], method, sorted({value for group in groups.values() for value, _ in group}))
    panels[1].set_xlabel(AXIS_LABELS[method])
    panels[0].legend(loc="best")
    panels[0].set_title(
        f"Quality (bars: {comparison.interval_name}) and size against {AXIS_LABELS[method].partition(' (')[0]}"
    )
    figure.align_ylabels()
    return figure


def _groups(comparison: Comparison, method: str) -> dict[str, list[tuple[float, EvaluationResult]]]:
    """Returns the variants of a sweep by series, with the values of its parameter: of one method, or all at budgets."""
    parameter = PARAMETER[method]
    groups: dict[str, list[tuple[float, EvaluationResult]]] = {}
    for result in comparison.of_methods(*(AT_BUDGETS if method == "budget" else (method,))):
        if result.spec.sized_by == parameter and result.spec.mac_budget is None:
            value = float(getattr(result.spec, parameter))
            groups.setdefault(series_name(result), []).append((value, result))
    return {name: sorted(group, key=lambda pair: pair[0]) for name, group in groups.items()}


def _draw_curves(
    panels: Sequence[Axes],
    name: str,
    group: Sequence[tuple[float, EvaluationResult]],
    comparison: Comparison,
    points: float,
) -> None:
    series = SERIES[name]
    values = [value for value, _ in group]
    quality, size = panels
    for axes, heights in (
        (quality, [metric(result, _QUALITY) for _, result in group]),
        (size, [result.cost.size_mb for _, result in group]),
    ):
        (line,) = axes.plot(values, heights, **series.look(), markersize=7, linewidth=1.2, label=series.title)
        shift(axes, line, points)
    bars = draw_intervals(quality, values, [_interval(comparison, r) for _, r in group], series.color)
    shift(quality, bars, points)


def _interval(comparison: Comparison, result: EvaluationResult) -> Interval | None:
    return comparison.qualities[result.name].mean.get(_QUALITY)


def _scale_settings(axes: Axes, method: str, values: Sequence[float]) -> None:
    """Puts a tick under every variant; ranks and budgets are on a logarithmic axis from `WIDE_RANGE` on."""
    if method != "arsvd" and max(values) >= WIDE_RANGE * min(values) > 0:
        axes.set_xscale("log", base=2)
    axes.set_xticks(values)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", labelrotation=90 if len(values) > 12 else 0)
