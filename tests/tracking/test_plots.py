import dataclasses
import math
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from tests.tracking.conftest import recovered
from tracking.plots import draw_finetuning, draw_layer_ranks, draw_sweep, draw_tradeoff, write_plots

ALL = [
    "dice_vs_params",
    "svd_rank",
    "arsvd_tau",
    "budget",
    "layer_ranks_svd",
    "layer_ranks_arsvd",
    "layer_ranks_budget",
    "training",
]


@pytest.fixture
def few(baseline, result):
    return [baseline, result("svd", 16, 0.7, 200_000), result("arsvd", 0.9, 0.77, 600_000)]


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_every_picture_is_written_and_not_blank(results, history, tmp_path):
    files = write_plots(results, history, tmp_path / "plots")
    assert [file.stem for file in files] == ALL
    for file in files:
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("L"), dtype=float)
        assert 300 < pixels.shape[0] < 2000
        assert 500 < pixels.shape[1] < 2000
        assert pixels.std() > 10
    assert sorted(file.name for file in (tmp_path / "plots").iterdir()) == sorted(f"{name}.png" for name in ALL)


def test_the_same_results_give_the_same_bytes(few, tmp_path):
    first, second = (write_plots(few[:1], {}, tmp_path / name)[0].read_bytes() for name in "ab")
    assert first == second


def test_pictures_without_data_are_omitted_and_old_ones_removed(baseline, tmp_path):
    (tmp_path / "svd_rank.png").write_bytes(b"of an earlier run")
    (tmp_path / "mine.png").write_bytes(b"not ours")
    assert [file.name for file in write_plots([baseline], {"epochs": []}, tmp_path)] == ["dice_vs_params.png"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dice_vs_params.png", "mine.png"]


def test_missing_values_do_not_stop_the_pictures(baseline, result, tmp_path):
    unknown = dataclasses.replace(result("svd", 8, 0.5, 1000, latency_ms=0.0), metrics={})
    history = {"epochs": [{"epoch": 1, "train_loss": 0.5, "valid_dice": None}], "best_epoch": None}
    assert "training.png" in [file.name for file in write_plots([baseline, unknown], history, tmp_path)]
    assert write_plots([], {}, tmp_path) == []


def test_every_variant_has_a_label_in_the_trade_off(results):
    (axes,) = draw_tradeoff(results).axes
    assert texts(axes) == [
        "baseline",
        "rank 16",
        "rank 32",
        "rank 64",
        "tau 0.85",
        "tau 0.9",
        "tau 0.95",
        "budget 0.25",
        "budget 0.5",
    ]


def test_labels_of_a_usual_sweep_do_not_overlap(results):
    figure = draw_tradeoff(results)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_methods_differ_in_colour_marker_and_line(results):
    (axes,) = draw_tradeoff(results).axes
    for read in ("get_color", "get_marker", "get_linestyle"):
        assert len({getattr(line, read)() for line in axes.lines}) == 4


@pytest.mark.parametrize(("largest", "scale"), [(300_000, "linear"), (13_391_361, "log")])
def test_parameters_are_on_a_log_axis_if_they_differ_much(result, largest, scale):
    figure = draw_tradeoff([result("baseline", None, 0.7, largest), result("svd", 8, 0.6, 200_000)])
    assert figure.axes[0].get_xscale() == scale


def test_a_sweep_shows_the_values_that_were_measured(results):
    quality, size = draw_sweep(results, "arsvd").axes
    np.testing.assert_allclose(quality.lines[0].get_xdata(), [0.85, 0.9, 0.95])
    np.testing.assert_allclose(size.lines[0].get_ydata(), [2.087044, 2.505284, 2.88])
    np.testing.assert_allclose(size.lines[1].get_ydata(), 3.353988)  # the baseline
    assert "MB" in size.get_ylabel()


def test_a_sweep_over_one_value_without_baseline_is_drawn(result):
    assert len(draw_sweep([result("budget", 0.25, 0.7, 1000)], "budget").axes[0].lines) == 1


def test_dense_layers_are_marked_and_ranks_written(few):
    axes = draw_layer_ranks(few, "svd").axes[0]
    assert texts(axes) == ["dense", "4", "8", "8", "15", "15", "8", "dense"]


def test_a_layer_that_one_variant_lacks_is_left_empty(result):
    whole = result("svd", 8, 0.5, 1000)
    part = dataclasses.replace(result("svd", 16, 0.6, 2000), layers=whole.layers[:1])
    assert texts(draw_layer_ranks([whole, part], "svd").axes[0]).count("") == len(whole.layers) - 1


def test_nothing_to_draw_gives_no_figure(baseline):
    assert draw_sweep([baseline], "svd") is None
    assert draw_layer_ranks([baseline], "svd") is None
    assert draw_tradeoff([dataclasses.replace(baseline, metrics={"dice": math.nan})]) is None


def test_drawing_touches_no_pyplot_state(few):
    figure = draw_tradeoff(few)
    assert isinstance(figure.canvas, FigureCanvasAgg)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_every_fine_tuned_variant_has_a_curve_that_its_marker_tells_apart(recovered_results):
    (axes,) = draw_finetuning(recovered_results).axes
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
    (axes,) = draw_finetuning(many).axes
    assert len(axes.lines) == 14
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [(2, 0.5)] * 14)


def test_without_fine_tuning_there_is_no_picture_of_it(results, recovered_results, tmp_path):
    assert draw_finetuning(results) is None
    assert "finetuning_curves" in [file.stem for file in write_plots(recovered_results[-2:], {}, tmp_path)]


def test_methods_at_the_same_budgets_share_a_picture(result):
    ours, other = result("budget", 0.25, 0.7, 1000), result("svd", 16, 0.6, 1000)
    other = dataclasses.replace(other, name="svd_budget_0.25", setting={"budget": 0.25})
    figure = draw_sweep([ours, other], "budget")
    assert {line.get_label() for line in figure.axes[0].lines} == {"budget", "SVD"}
    assert draw_sweep([ours, other], "svd") is None
