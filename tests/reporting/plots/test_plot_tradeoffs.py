import dataclasses
import math

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from analysis.comparison import Comparison
from analysis.front import front_names
from reporting.plots.labels import Label, label_points
from reporting.plots.style import new_figure
from reporting.plots.tradeoffs import draw_tradeoff
from tests.comparisons import make_result, of_training
from tests.reporting.plots.test_plots import at_budget, spread


def labels(axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def series(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def front(axes):
    return next(rings for rings in axes.collections if rings.get_label().startswith("best trade-offs")).get_offsets()


def many(count):
    """A baseline and variants whose Dice grows with their size, in a narrow band, so that labels crowd."""
    sizes = np.geomspace(100_000, 700_000, count - 1).astype(int)
    variants = [make_result("svd", rank, 0.7 + 0.07 * rank / count, int(size)) for rank, size in enumerate(sizes, 1)]
    return Comparison([make_result("baseline", None, 0.78, 838_497), *variants])


def test_every_variant_has_a_label_and_the_recommended_one_says_so(results):
    (axes,) = draw_tradeoff(Comparison(results)).axes
    tau = "\N{GREEK SMALL LETTER TAU}"
    expected = ["baseline", "r 16", "r 32", "r 64", f"{tau} 0.85", f"{tau} 0.9", f"{tau} 0.95", "50 %"]
    assert sorted(labels(axes)) == sorted([*expected, "25 % (recommended)"])


def test_labels_have_the_colour_of_their_series(few_at_budgets):
    (axes,) = draw_tradeoff(few_at_budgets).axes
    colors = {text.get_text(): to_hex(text.get_color()) for text in axes.texts}
    assert colors["r 16"] == to_hex(series(axes)["SVD"].get_color())


@pytest.mark.parametrize("count", [8, 14, 20])
def test_labels_do_not_overlap_even_where_variants_crowd(count):
    figure = draw_tradeoff(many(count))
    figure.draw_without_rendering()
    # an annotation's own box includes the line to its point
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]
    assert len(boxes) == count
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_labels_of_points_at_one_place_stand_apart():
    figure = new_figure(6, 4)
    axes = figure.subplots()
    axes.plot([0, 0.5, 1], [0, 0.5, 1], "o", linestyle="none")
    label_points(figure, axes, [Label(f"number {n}", 0.5, 0.5) for n in range(12)], np.full((1, 2), 0.5))
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert len(boxes) == 12
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert sum(text.arrow_patch is not None for text in axes.texts) >= 4, "those further away have a line"


def test_of_more_than_twenty_variants_only_those_to_choose_from_are_labelled():
    chosen = [make_result("budget", 0.5, 0.775, 400_000), make_result("baseline", None, 0.78, 838_497)]
    others = [make_result("svd", rank, 0.5, 400_000 + rank) for rank in range(1, 20)]
    assert len(labels(draw_tradeoff(Comparison([*chosen, *others[:18]])).axes[0])) == 20
    (axes,) = draw_tradeoff(Comparison([*chosen, *others])).axes
    assert sorted(labels(axes)) == ["50 % (recommended)", "baseline"]
    assert "labels" in axes.get_title()


def test_networks_as_they_were_trained_are_labelled_however_many_there_are():
    narrow = [
        of_training(make_result("baseline", None, dice, params), filters=filters) for filters, dice, params in WIDTHS
    ]
    others = [make_result("svd", rank, 0.5, 400_000 + rank) for rank in range(1, 20)]
    results = [make_result("baseline", None, 0.78, 838_497), *narrow, *others]
    (axes,) = draw_tradeoff(Comparison(results)).axes
    assert {"baseline", "filters_8", "filters_4"} <= {text.removesuffix(" (recommended)") for text in labels(axes)}


WIDTHS = ((8, 0.6, 210_000), (4, 0.5, 52_000))


@pytest.fixture
def few_at_budgets(baseline, result):
    fixed = [result("svd", rank, 0.5 + rank / 100, 10_000 * rank) for rank in (8, 16)]
    solved = [at_budget(result, "svd", share, 0.7, int(800_000 * share)) for share in (0.25, 0.5)]
    return Comparison([baseline, *fixed, *solved, at_budget(result, "arsvd", 0.25, 0.6, 200_000)])


def test_variants_at_budgets_are_series_of_their_own(few_at_budgets):
    (axes,) = draw_tradeoff(few_at_budgets).axes
    lines = series(axes)
    assert set(lines) == {"baseline", "SVD", "SVD at a budget", "ARSVD at a budget"}
    np.testing.assert_allclose(lines["SVD"].get_xdata(), [80_000, 160_000])
    np.testing.assert_allclose(lines["SVD at a budget"].get_xdata(), [200_000, 400_000])
    assert lines["SVD"].get_markerfacecolor() != lines["SVD at a budget"].get_markerfacecolor()
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {
        *lines,
        "best trade-offs of Dice and network size",
    }


def test_methods_differ_in_colour_marker_and_line(results):
    (axes,) = draw_tradeoff(Comparison(results)).axes
    for read in ("get_color", "get_marker", "get_linestyle"):
        assert len({getattr(line, read)() for line in series(axes).values()}) == 4


def test_intervals_are_bars_and_the_baseline_a_band(baseline, result):
    comparison = Comparison([spread(baseline), spread(result("svd", 16, 0.7, 200_000))])
    (axes,) = draw_tradeoff(comparison).axes
    interval = comparison.qualities["svd_rank_16"].mean["dice"]
    bars = next(bars for bars in axes.collections if hasattr(bars, "get_segments") and len(bars.get_segments()))
    np.testing.assert_allclose(bars.get_segments()[0], [(200_000, interval.low), (200_000, interval.high)])
    (band,) = axes.patches
    of_baseline = comparison.qualities["baseline"].mean["dice"]
    np.testing.assert_allclose((band.get_y(), band.get_height()), (of_baseline.low, of_baseline.high - of_baseline.low))
    low, high = axes.get_ylim()
    assert low < interval.low < of_baseline.high < high


def test_useless_variants_stand_at_the_foot_and_squeeze_nothing(baseline, result):
    good = [result("svd", rank, dice, 10_000 * rank) for rank, dice in ((16, 0.74), (32, 0.76))]
    (axes,) = draw_tradeoff(Comparison([baseline, *good, result("svd", 2, 0.0, 20_000)])).axes
    low, high = axes.get_ylim()
    assert high - low < 0.2, "the range of the intervals of those that are useful"
    (below,) = [line for line in axes.lines if line.get_label() == "_below"]
    assert low < below.get_ydata()[0] < 0.74
    assert "r 2: Dice 0.00" in labels(axes)
    assert 0.0 in series(axes)["SVD"].get_ydata(), "its curve goes where it is"


def test_a_variant_a_little_below_is_shown_where_it_is(baseline, result):
    others = [result("svd", rank, dice, 10_000 * rank) for rank, dice in ((16, 0.4), (8, 0.3))]
    (axes,) = draw_tradeoff(Comparison([baseline, *others])).axes
    assert axes.get_ylim()[0] < 0.3
    assert "r 8" in labels(axes)


def test_no_useful_difference_is_not_blown_up(baseline, result):
    (axes,) = draw_tradeoff(Comparison([baseline, result("svd", 16, 0.7767, 1000)])).axes
    low, high = axes.get_ylim()
    assert high - low >= 0.02


COST_OF = {"macs": lambda r: r.cost.macs, "latency": lambda r: r.latency.ratio, "params": lambda r: r.cost.params}


@pytest.mark.parametrize(("cost", "read"), COST_OF.items())
def test_each_picture_rings_the_front_of_its_own_cost(baseline, result, cost, read):
    quick = dataclasses.replace(result("svd", 8, 0.7, 500_000, latency_ms=3.0))
    quick = dataclasses.replace(quick, cost=dataclasses.replace(quick.cost, macs=10**6))
    comparison = Comparison([baseline, quick, result("arsvd", 0.9, 0.72, 400_000, latency_ms=9.0)])
    (axes,) = draw_tradeoff(comparison, cost).axes
    names = front_names(comparison.results, read)
    expected = sorted((read(r), r.metrics["dice"]) for r in comparison.results if r.name in names)
    np.testing.assert_allclose(front(axes), expected)
    assert len(expected) == (2 if cost == "params" else 3)


def test_times_are_relative_with_intervals_and_the_machine_is_named(baseline, result):
    quick = result("svd", 8, 0.7, 500_000, latency_ms=5.0)
    (axes,) = draw_tradeoff(Comparison([baseline, quick]), "latency").axes
    assert axes.get_xlabel() == "time for one image, baseline = 1 (a processor, 2 threads)"
    np.testing.assert_allclose(series(axes)["SVD"].get_xdata(), [0.4])
    bars = [bar for lines in axes.collections if hasattr(lines, "get_segments") for bar in lines.get_segments()]
    assert any(np.allclose(bar, [(0.392, 0.7), (0.408, 0.7)]) for bar in bars)


def test_a_network_that_is_not_told_apart_is_no_faster_than_the_baseline(baseline, result):
    """Else noise would put it on the front."""
    same = result("svd", 8, 0.7, 500_000, latency_ms=12.4)
    (axes,) = draw_tradeoff(Comparison([baseline, same]), "latency").axes
    np.testing.assert_allclose(front(axes), [(1, baseline.metrics["dice"])])
    (cross,) = [line for line in axes.lines if line.get_label() == "_cross"]
    np.testing.assert_allclose(cross.get_xdata(), [0.992])  # where it was measured
    assert axes.get_xlabel().endswith("; crosses: not told apart from it")
    bars = [bar for lines in axes.collections if hasattr(lines, "get_segments") for bar in lines.get_segments()]
    assert any(np.allclose(bar, [(0.98 * 0.992, 0.7), (1.02 * 0.992, 0.7)]) for bar in bars)


def test_a_quick_network_has_its_own_mark_and_counts(baseline, result):
    (axes,) = draw_tradeoff(Comparison([baseline, result("svd", 8, 0.7, 500_000, latency_ms=5.0)]), "latency").axes
    assert not [line for line in axes.lines if line.get_label() == "_cross"]
    np.testing.assert_allclose(front(axes), [(0.4, 0.7), (1, baseline.metrics["dice"])])


def test_variants_whose_cost_is_not_known_are_left_out(results, baseline):
    (axes,) = draw_tradeoff(Comparison(results), "latency").axes
    assert "r 16" not in " ".join(labels(axes)), "its time is not known"
    assert len(labels(axes)) == len(results) - 1
    unknown = dataclasses.replace(baseline, cost=dataclasses.replace(baseline.cost, macs=0))
    assert draw_tradeoff(Comparison([unknown]), "macs") is None


def test_without_dice_there_is_no_figure(baseline):
    nothing = dataclasses.replace(baseline, metrics={"dice_lesion": math.nan}, per_image={})
    assert draw_tradeoff(Comparison([nothing])) is None
    assert draw_tradeoff(Comparison([])) is None


@pytest.mark.parametrize(("largest", "scale"), [(300_000, "linear"), (13_391_361, "log")])
def test_costs_are_on_a_log_axis_if_they_differ_much(result, largest, scale):
    comparison = Comparison([result("baseline", None, 0.7, largest), result("svd", 8, 0.6, 200_000)])
    assert draw_tradeoff(comparison).axes[0].get_xscale() == scale


@pytest.mark.parametrize(("method", "rank"), [("baseline", None), ("svd", 1)])
def test_one_variant_alone_is_drawn(result, method, rank):
    (axes,) = draw_tradeoff(Comparison([result(method, rank, 0.1, 1000)])).axes
    assert len(front(axes)) == 1
