import dataclasses

import numpy as np
import pytest

from analysis.comparison import Comparison
from analysis.singular_values import SingularValues
from models.variant_spec import VariantSpec
from reporting.plots.layer_ranks import draw_layer_ranks
from reporting.plots.spectra import chosen_variants, draw_spectra
from reporting.plots.style import shortened, shortened_layer
from tests.comparisons import make_result, renamed
from tests.reporting.plots.test_plots import at_budget
from torch_lowrank.report import LayerReport

RANK_2 = VariantSpec("svd", rank=2)
SPECTRUM = SingularValues("channel", [8.0, 4.0, 2.0, 1.0])


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def ticks(axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def cut(name, layers, spec=RANK_2):
    """A variant whose layers, name to (scheme, rank), are cut so; rank None stays dense."""
    reports = [
        LayerReport(layer, "Conv2d", None if rank is None else scheme, rank, 4, 100, 50, 0.1)
        for layer, (scheme, rank) in layers.items()
    ]
    result = dataclasses.replace(make_result("svd", 1, 0.7, 1000), spec=spec, layers=reports)
    return renamed(result, name)


def marks(axes):
    """Cuts drawn in a panel: (index, height)."""
    lines = [line for line in axes.lines if line.get_linestyle() == "None"]
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines]


def test_all_variants_share_a_picture_with_rank_and_share_in_every_cell(results):
    ranks, shares = draw_layer_ranks(Comparison(results)).axes[:2]
    columns = len(results) - 1
    assert ticks(ranks)[:3] == ["SVD r 16", "SVD r 32", "SVD r 64"]
    assert ticks(ranks)[-1] == "budget 25 %"
    assert len(texts(ranks)) == len(texts(shares)) == 8 * columns
    first = slice(None, None, columns)  # of SVD r 16: 191,585 of 838,497 parameters
    assert texts(ranks)[first] == ["dense", "4", "7", "7", "15", "15", "7", "dense"]
    assert texts(shares)[first] == ["dense", "25", "22", "22", "23", "23", "22", "dense"]


def test_dense_layers_are_hatched_and_missing_ones_are_not(result):
    whole = result("svd", 8, 0.5, 1000)
    part = dataclasses.replace(result("svd", 16, 0.6, 2000), layers=whole.layers[1:3])
    axes = draw_layer_ranks(Comparison([whole, part])).axes[0]
    (hatched,) = (each for each in axes.collections if each.get_hatch())
    assert [tuple(path.get_extents().get_points().mean(0)) for path in hatched.get_paths()] == [(0, 0), (0, 7)]
    assert len(texts(axes)) == len(whole.layers) + 2


def test_series_are_separated(result):
    variants = [result("svd", 8, 0.5, 1000), result("svd", 16, 0.5, 2000), at_budget(result, "svd", 0.25)]
    axes = draw_layer_ranks(Comparison([*variants, result("arsvd", 0.9, 0.5, 3000)])).axes[0]
    assert sorted({float(line.get_xdata()[0]) for line in axes.lines}) == [1.5, 2.5]


@pytest.mark.parametrize(("count", "numbered"), [(1, True), (16, True), (17, False), (60, False)])
def test_the_picture_stays_of_a_size_that_can_be_read(result, count, numbered):
    figure = draw_layer_ranks(Comparison([result("svd", rank, 0.5, 1000 * rank) for rank in range(1, count + 1)]))
    assert figure.get_figwidth() <= 18.0
    assert bool(figure.axes[0].texts) == numbered
    assert len(ticks(figure.axes[0])) == count


def test_of_very_many_layers_the_largest_are_shown_in_the_networks_order(result):
    layers = [LayerReport(f"layer{n}", "Linear", "channel", 1, 8, 1000 - n % 70, 10, 0.1) for n in range(70)]
    figure = draw_layer_ranks(Comparison([dataclasses.replace(result("svd", 1, 0.5, 1000), layers=layers)]))
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [f"layer{n}" for n in range(60)]
    assert "60 with most parameters of 70" in figure.get_suptitle()
    assert figure.get_figheight() < 20


def test_without_layers_there_is_no_figure(baseline):
    assert draw_layer_ranks(Comparison([baseline])) is None


def test_a_spectrum_is_relative_to_its_largest_value_on_a_log_axis(baseline):
    (axes,) = draw_spectra(Comparison([baseline]), "plain", {"inc": SPECTRUM}).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [(1, 1), (2, 0.5), (3, 0.25), (4, 0.125)])
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "inc"


def test_cuts_stand_on_the_spectrum_of_their_scheme_only():
    variants = [
        cut("a", {"inc": ("channel", 2), "outc": ("spatial", 2)}),
        cut("b", {"inc": ("spatial", 3), "outc": ("channel", None)}),
        cut("c", {"inc": ("channel", 9)}),
    ]
    figure = draw_spectra(Comparison(variants), "plain", {"inc": SPECTRUM, "outc": SPECTRUM})
    assert marks(figure.axes[0]) == [(2, 0.5)]
    assert marks(figure.axes[1]) == []
    assert len(figure.legends[0].get_texts()) == 3


def test_plain_spectra_are_cut_by_every_rule():
    rules = [cut(rule, {"inc": ("channel", 3)}, VariantSpec(rule)) for rule in ("evbmf", "stable_rank")]
    (axes,) = draw_spectra(Comparison(rules), "plain", {"inc": SPECTRUM}).axes
    assert marks(axes) == [(3, 0.25)] * 2


def test_weighted_spectra_are_cut_by_budgets_alone():
    layers = {"inc": ("channel", 2)}
    variants = [cut("svd", layers), cut("ours", {"inc": ("channel", 3)}, VariantSpec("budget", budget=0.25))]
    plain, weighted = (draw_spectra(Comparison(variants), kind, {"inc": SPECTRUM}) for kind in ("plain", "weighted"))
    assert marks(plain.axes[0]) == [(2, 0.5)]
    assert marks(weighted.axes[0]) == [(3, 0.25)]
    assert [text.get_text() for text in weighted.legends[0].get_texts()] == ["budget 25 %"]


def test_at_most_six_variants_are_marked_the_recommended_and_the_front_among_them(baseline, result):
    worse = [result("svd", rank, 0.5, 500_000 + rank) for rank in range(1, 20)]
    best, front = result("svd", 50, 0.775, 400_000), result("arsvd", 0.5, 0.7, 300_000)
    comparison = Comparison([baseline, *worse, best, front])
    chosen = chosen_variants(comparison, ("svd", "arsvd"))
    assert comparison.recommended is best
    assert [r.name for r in chosen] == [
        "svd_rank_1",
        "svd_rank_7",
        "svd_rank_13",
        "svd_rank_19",
        "svd_rank_50",
        "arsvd_tau_0.5",
    ]
    assert chosen_variants(Comparison([baseline]), ("svd",)) == []


def test_of_many_layers_those_with_most_parameters_are_shown(result):
    spectra = {f"layer{n}": SPECTRUM for n in range(30)}
    layers = [LayerReport(name, "Linear", "channel", 1, 4, 100 + n, 9, 0.1) for n, name in enumerate(spectra)]
    comparison = Comparison([dataclasses.replace(result("svd", 1, 0.5, 1000), layers=layers)])
    figure = draw_spectra(comparison, "plain", spectra)
    assert [axes.get_title() for axes in figure.axes] == [f"layer{n}" for n in range(6, 30)]
    assert "24 with most parameters of 30" in figure.get_suptitle()


@pytest.mark.parametrize(("layers", "panels"), [(1, 1), (4, 4), (18, 18), (19, 20), (24, 24)])
def test_panels_fill_the_grid(baseline, layers, panels):
    figure = draw_spectra(Comparison([baseline]), "plain", {f"layer{n}": SPECTRUM for n in range(layers)})
    assert len(figure.axes) == panels


def test_zeros_of_rounding_are_no_values_and_layers_without_any_are_left_out():
    spectra = {"zero": SingularValues("channel", [0.0, 0.0]), "one": SingularValues("channel", [2.0, 0.0, 0.0])}
    figure = draw_spectra(Comparison([cut("a", {"one": ("channel", 3)})]), "plain", spectra)
    (axes,) = figure.axes
    assert np.isnan(axes.lines[0].get_ydata()[1:]).all()
    (mark,) = axes.lines[1:]
    figure.draw_without_rendering()
    np.testing.assert_allclose(
        mark.get_transform().transform(mark.get_xydata()),
        [(axes.transData.transform((3, 1))[0], axes.bbox.y0)],
        err_msg="the cut stands at the foot of the panel",
    )
    assert draw_spectra(Comparison([]), "plain", {"zero": spectra["zero"]}) is None


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("inc.double_conv.0", "inc.double_conv.0"),
        ("down1.maxpool_conv.1.double_conv.0", "down1.m.1.double_conv.0"),
        ("encoder.layers.11.attention.self.query", "encoder.l.11.a.self.query"),
        ("x" * 40, "x" * 13 + "\N{HORIZONTAL ELLIPSIS}" + "x" * 12),
    ],
)
def test_names_of_layers_are_shortened_from_the_middle(name, short):
    assert shortened_layer(name, 26) == short


def test_what_the_font_lacks_is_replaced():
    assert shortened("a\n\N{CJK UNIFIED IDEOGRAPH-8166}$", 9) == "a\N{WHITE SQUARE}\N{WHITE SQUARE}$"
