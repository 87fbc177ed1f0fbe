import dataclasses
import io
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from analysis.comparison import Comparison
from analysis.examples import Examples
from analysis.ranking import AT_BUDGETS
from analysis.singular_values import SingularValues
from models.variant_spec import METHODS, VariantSpec
from reporting.plots.catalogue import PICTURES
from reporting.plots.draw import DPI, DRAWN, Shown, draw_all, png_of
from reporting.plots.series import SERIES, by_series, long_label, series_name
from reporting.plots.sweeps import draw_sweep
from reporting.plots.training import draw_finetuning, draw_training
from tests.comparisons import images, of_training, recovered

ALWAYS = ["dice_vs_params", "dice_vs_macs", "dice_vs_latency", "svd_rank", "arsvd_tau", "budget", "layer_ranks"]


@pytest.fixture
def few(baseline, result):
    return Comparison([baseline, result("svd", 16, 0.7, 200_000), result("arsvd", 0.9, 0.77, 600_000)])


def spread(result, width=0.1):
    """The variant with images that differ, so that it has an interval."""
    dice, iou = ((result.metrics[name] + np.linspace(-width, width, 11)).tolist() for name in ("dice", "iou"))
    return dataclasses.replace(result, per_image=images(dice, iou))


def at_budget(result, method, budget, dice=0.6, params=1000):
    return dataclasses.replace(result(method, 1, dice, params), spec=VariantSpec(method, budget=budget))


def test_every_picture_is_drawn_and_not_blank(recovered_results, history):
    spectra = {"inc.double_conv.3": SingularValues("channel", [2.0, 1.0])}
    mask = np.ones((1, 8, 8), np.uint8)
    examples = Examples([0], ["best"], ["a.png"], mask[..., None], mask, {"baseline": mask})
    shown = Shown(Comparison(recovered_results), [history], {"plain": spectra, "weighted": spectra}, examples)
    pictures = draw_all(shown)
    assert list(pictures) == [name for name in PICTURES if name != "dice_vs_bytes"], "the most telling first"
    for png in pictures.values():
        with Image.open(io.BytesIO(png)) as image:
            pixels = np.asarray(image.convert("L"), dtype=float)
        assert 250 < pixels.shape[0] < 2000
        assert 500 < pixels.shape[1] < 2000
        assert pixels.std() > 10


def test_networks_in_few_bits_are_drawn_by_bytes_and_are_no_further_points_of_other_costs(results, few_bits, history):
    with_twins, without = (DRAWN["dice_vs_macs"](Shown(Comparison(some), [history])) for some in (few_bits, results))
    assert len(with_twins.axes[0].lines) == len(without.axes[0].lines) + 1, "the curve of sizes"
    (axes,) = DRAWN["dice_vs_bytes"](Shown(Comparison(few_bits), [history])).axes
    assert axes.get_xlabel() == "bytes of the weights file"
    texts = {text.get_text() for text in axes.get_legend().get_texts()}
    assert {"baseline in few bits", "SVD in few bits", "size"} <= texts


@pytest.mark.parametrize("name", ["svd_rank", "layer_ranks", "dice_vs_params"])
def test_drawing_once_gives_what_drawing_twice_does(name, recovered_results, history):
    shown = Shown(Comparison(recovered_results), [history])
    expected = io.BytesIO()
    DRAWN[name](shown).savefig(expected, format="png", dpi=DPI, metadata={"Software": None})
    assert png_of(DRAWN[name](shown)) == expected.getvalue()


def test_captions_are_one_sentence_each_that_says_what_is_seen():
    assert all(len(each.caption) > 40 and not each.caption.endswith(".") for each in PICTURES.values())


def test_every_picture_has_a_caption_and_is_drawn():
    assert list(DRAWN) == list(PICTURES)


def test_the_same_results_give_the_same_bytes(few):
    assert draw_all(Shown(few, [])) == draw_all(Shown(few, []))


def test_pictures_without_data_are_omitted(baseline):
    drawn = draw_all(Shown(Comparison([baseline]), [{"epochs": []}]))
    assert list(drawn) == ["dice_vs_params", "dice_vs_macs", "dice_vs_latency"]


def test_only_spectra_of_one_kind_are_drawn_where_there_are_no_others(baseline):
    drawn = draw_all(Shown(Comparison([baseline]), [], {"plain": {"inc": SingularValues("channel", [1.0, 0.5])}}))
    assert "spectra" in drawn
    assert "weighted_spectra" not in drawn


def test_missing_values_do_not_stop_the_pictures(baseline, result):
    unknown = dataclasses.replace(result("svd", 8, 0.5, 1000, latency_ms=0.0), metrics={}, per_image={})
    history = {"epochs": [{"epoch": 1, "train_loss": 0.5, "valid_dice": None}], "best_epoch": None}
    assert "training" in draw_all(Shown(Comparison([baseline, unknown]), [history]))
    assert draw_all(Shown(Comparison([]), [])) == {}


def test_drawing_touches_no_pyplot_state(few):
    figure = draw_sweep(few, "svd")
    assert isinstance(figure.canvas, FigureCanvasAgg)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_a_sweep_shows_the_values_that_were_measured(results):
    quality, size = draw_sweep(Comparison(results), "arsvd").axes
    np.testing.assert_allclose(quality.lines[0].get_xdata(), [0.85, 0.9, 0.95])
    np.testing.assert_allclose(size.lines[0].get_ydata(), [2.087044, 2.505284, 2.88])
    np.testing.assert_allclose(size.lines[1].get_ydata(), 3.353988)  # the baseline
    assert "MB" in size.get_ylabel()


def test_a_sweep_shows_the_whole_of_every_interval(baseline, result):
    comparison = Comparison([spread(baseline), *(spread(result("svd", rank, 0.6, 1000)) for rank in (8, 16))])
    quality = draw_sweep(comparison, "svd").axes[0]
    (bars,) = quality.collections
    interval = comparison.qualities["svd_rank_8"].mean["iou_lesion"]
    np.testing.assert_allclose(bars.get_segments()[0], [(8, interval.low), (8, interval.high)])
    low, high = quality.get_ylim()
    assert low < interval.low < interval.high < high
    left, right = quality.get_xlim()
    assert 0 < left < 8, "limits follow the ranks"
    assert 16 < right < 20


def test_a_sweep_over_one_value_without_baseline_is_drawn(result):
    assert len(draw_sweep(Comparison([result("budget", 0.25, 0.7, 1000)]), "budget").axes[0].lines) == 1


def test_methods_at_the_same_budgets_share_a_picture_and_stand_side_by_side(result):
    comparison = Comparison([result("budget", 0.25, 0.7, 1000), at_budget(result, "svd", 0.25)])
    figure = draw_sweep(comparison, "budget")
    figure.draw_without_rendering()
    lines = figure.axes[0].lines
    assert {line.get_label() for line in lines} == {"budget", "SVD at a budget"}
    svd, ours = (line.get_transform().transform((0.25, 0.7))[0] for line in lines)
    assert ours - svd == pytest.approx(7 * figure.dpi / 72)
    assert draw_sweep(comparison, "svd") is None


def test_every_method_has_a_look_and_labels_of_its_own(result):
    given = {"svd": 4, "arsvd": 0.5, "energy": 0.9, "rank_ratio": 0.5, "budget": 0.5, "pruned": 0.5}
    methods = [method for method in METHODS if method != "size"]
    results = [result(method, given.get(method), 0.7, 1000) for method in methods]
    solved = [at_budget(result, method, 0.25) for method in AT_BUDGETS if method not in ("budget", "pruned")]
    assert len(by_series([*results, *solved])) == len(results) + len(solved)
    twins = [dataclasses.replace(each, spec=dataclasses.replace(each.spec, weight_bits=8)) for each in results]
    assert {series_name(twin) for twin in twins} == {f"{method}_in_bits" for method in methods}
    looks = {(SERIES[name].color, SERIES[name].marker) for name in methods}
    assert len(looks) == len({color for color, _ in looks}) == len({marker for _, marker in looks}) == len(methods)
    labels = {each.name: long_label(each) for each in [*results, *solved]}
    assert labels["energy_0.9"] == "energy 0.9"
    assert labels["evbmf"] == "evbmf"
    assert labels["hard_threshold_budget_0.25"] == "hard threshold at 25 %"
    assert len({*labels.values()}) == len(labels)


def test_nothing_to_draw_gives_no_figure(baseline):
    comparison = Comparison([baseline])
    assert draw_sweep(comparison, "svd") is None
    assert draw_finetuning(comparison) is None
    assert draw_training({}) is None


def test_a_history_of_one_epoch_ticks_that_epoch_alone():
    epoch = {"epoch": 1, "train_loss": 0.5, "valid_loss": 0.6, "valid_dice": 0.4}
    figure = draw_training({"epochs": [epoch], "best_epoch": 1})
    figure.draw_without_rendering()
    quality = figure.axes[1]
    left, right = quality.get_xlim()
    assert [tick for tick in quality.get_xticks() if left <= tick <= right] == [1]
    assert right - left == 1, "room beside it, as for any epoch"


def test_training_shows_every_epoch_and_the_best(history):
    losses, quality = draw_training(history).axes
    assert [line.get_label() for line in losses.lines] == ["training", "validation", "best epoch (11)"]
    assert len(losses.lines[0].get_xdata()) == 12
    assert quality.lines[0].get_ydata()[-1] == pytest.approx(0.8 - 0.7 / 12)


def test_every_fine_tuned_variant_has_a_curve_that_its_marker_tells_apart(recovered_results):
    (axes,) = draw_finetuning(Comparison(recovered_results)).axes
    names = [line.get_label() for line in axes.lines]
    assert names[:2] == ["svd_rank_16", "svd_rank_32"]
    assert len(names) == len(recovered_results) - 1, "the baseline has none"
    assert len({line.get_marker() for line in axes.lines}) == len(names)
    rank_32 = next(result for result in recovered_results if result.name == "svd_rank_32")
    expected = [epoch["valid_dice"] for epoch in rank_32.finetune_history["epochs"]]
    np.testing.assert_allclose(axes.lines[1].get_ydata(), expected)
    assert "epoch" in axes.get_xlabel()
    assert "Dice" in axes.get_ylabel()


def test_more_fine_tuned_variants_than_markers_are_all_drawn(result):
    many = [recovered(result("svd", rank, 0.5, 1000), 0.1, [0.3, 0.5, 0.4]) for rank in range(1, 15)]
    (axes,) = draw_finetuning(Comparison(many)).axes
    assert len(axes.lines) == 14
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [(2, 0.5)] * 14)


def test_curves_of_several_trainings_stand_side_by_side(results, history):
    comparison = Comparison([*results, of_training(results[-1], filters=8)])
    later = history | {"best_epoch": 3}
    losses, quality = DRAWN["training"](Shown(comparison, [history, later])).axes
    assert [text.get_text() for text in losses.get_legend().get_texts()] == ["baseline", "filters_8"]
    ringed = [float(each.get_offsets()[0][0]) for each in quality.collections]
    assert ringed == [11, 3]


def test_a_curve_joins_variants_of_one_training_alone(results, history):
    narrow = [of_training(each, filters=8) for each in results]
    (axes,) = DRAWN["dice_vs_params"](Shown(Comparison([*results, *narrow]), [history])).axes
    svd = [line for line in axes.lines if line.get_color() == SERIES["svd"].color and len(line.get_xdata()) > 1]
    assert [len(line.get_xdata()) for line in svd] == [3, 3]
    assert [text.get_text() for text in axes.get_legend().get_texts()].count("SVD") == 1
