import dataclasses
import itertools
import warnings

import numpy as np
import pytest

from analysis.comparison import Comparison
from analysis.examples import Examples
from models.variant_spec import VariantSpec
from reporting.plots.masks import draw_masks


def examples(*, rows=2, names=("baseline", "svd_rank_16"), labels=1, channels=1, shape=(24, 32), files=None):
    """Squares: the truth at the left border, predictions ever further to the right."""
    truth = np.zeros((rows, *shape), np.uint8)
    truth[:, 4:12, 0:8] = 1
    truth[:, 6:9, 2:5] = labels
    predictions = {name: np.roll(truth, 2 * number, axis=2) for number, name in enumerate(names)}
    images = np.random.default_rng(0).integers(0, 255, (rows, *shape, channels), dtype=np.uint8)
    kinds, files = [f"kind {n}" for n in range(rows)], files or [f"{n}.png" for n in range(rows)]
    return Examples(list(range(rows)), kinds, files, images, truth, predictions)


def grid(figure, rows):
    return np.reshape(figure.axes, (rows, -1))


def test_rows_are_examples_and_columns_image_truth_and_predictions(results):
    figure = draw_masks(examples(names=("baseline", "svd_rank_16", "elsewhere")), Comparison(results))
    panels = grid(figure, 2)
    assert [axes.get_title() for axes in panels[0]] == ["image", "truth", "baseline", "SVD r 16", "elsewhere"]
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["kind 0\n0.png", "kind 1\n1.png"]


def test_titles_are_whole_and_no_wider_than_their_column(baseline, result):
    specs = [
        VariantSpec("budget", budget=0.0625, mac_budget=0.125, scheme="auto", filters=8, seed=2),
        VariantSpec("arsvd", tau=0.9375, scheme="channel", filters=16, seed=3),
        VariantSpec("hard_threshold", budget=0.125, scheme="channel"),
        *(VariantSpec("svd", rank=rank, scheme="channel", filters=16) for rank in range(1, 5)),
    ]
    made = [baseline, *(dataclasses.replace(result("svd", 4, 0.7, 1000), spec=spec) for spec in specs)]
    figure = draw_masks(examples(names=[each.name for each in made], shape=(64, 64)), Comparison(made))
    figure.draw_without_rendering()
    first = grid(figure, 2)[0]
    titles = [axes.get_title().split() for axes in first[3:]]
    assert titles[0] == ["budget", "6.25", "%", "MACs", "12.5", "%", "of", "filters", "8", "seed", "2"]
    assert titles[1] == ["ARSVD", "τ", "0.9375", "of", "filters", "16", "seed", "3"]
    boxes = [axes.title.get_window_extent() for axes in first]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert max(box.y1 for box in boxes) <= figure.bbox.y1, "nothing is cut at the top"


def test_dice_of_the_evaluation_is_written_below_every_cell(baseline, result):
    measured = [
        dataclasses.replace(each, per_image={"dice": [0.1, 0.2, value]})
        for each, value in ((baseline, 0.75), (result("svd", 16, 0.5, 1000), 0.5))
    ]
    shown = dataclasses.replace(examples(names=("baseline", "svd_rank_16", "unknown")), rows=[0, 2])
    second = grid(draw_masks(shown, Comparison(measured)), 2)[1]
    assert [axes.get_xlabel() for axes in second] == ["", "", "Dice 0.75", "Dice 0.50", ""]


@pytest.mark.parametrize("labels", [1, 2])
def test_the_truth_is_outlined_in_white_and_black_on_every_prediction(labels):
    figure = draw_masks(examples(labels=labels), Comparison([]))
    image, truth, *predicted = grid(figure, 2)[0]
    assert not image.collections
    for axes in (truth, *predicted):
        white, black = axes.collections
        assert white.get_linestyle() != black.get_linestyle()
        assert len(black.get_segments()) == (1 if labels == 1 else 3), "the inner label, and both borders of the outer"
    for segment in predicted[0].collections[0].get_segments():
        np.testing.assert_allclose(segment[0], segment[-1], err_msg="closed at the border of the image too")


def test_the_outline_runs_around_the_pixels_of_the_truth():
    prediction = grid(draw_masks(examples(), Comparison([])), 2)[0][2]
    (outline,) = prediction.collections[0].get_segments()
    np.testing.assert_allclose((outline.min(axis=0), outline.max(axis=0)), [(-0.5, 3.5), (7.5, 11.5)])


def test_predicted_areas_are_filled_and_the_rest_is_the_image():
    shown = examples(names=("a", "b"))
    figure = draw_masks(shown, Comparison([]))
    pixels = np.asarray(grid(figure, 2)[0][3].images[0].get_array())
    plain = np.repeat(shown.images[0], 3, axis=2) / 255
    changed = (np.abs(pixels - plain) > 1e-6).any(axis=2)
    np.testing.assert_array_equal(changed, shown.predictions["b"][0] > 0)


def test_edges_of_predicted_areas_are_darker_than_what_is_inside():
    shown = examples()
    shown.images[:] = 190  # about as light in gray as the first label's colour
    pixels = np.asarray(grid(draw_masks(shown, Comparison([])), 2)[0][2].images[0].get_array()).mean(axis=2)
    assert pixels[4, 4] < 0.5 * pixels[5, 4]
    assert pixels[4, 7] == pixels[4, 4]


def test_labels_differ_in_colour_and_have_a_legend():
    figure = draw_masks(examples(labels=2), Comparison([]))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["label 1", "label 2", "outline of the truth"]
    one, two = (patch.get_facecolor() for patch in figure.legends[0].get_patches()[:2])
    assert one != two


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(24, 32), (900, 16)])
def test_gray_and_colour_of_any_shape_are_drawn(channels, shape):
    figure = draw_masks(examples(channels=channels, shape=shape), Comparison([]))
    figure.draw_without_rendering()
    assert max(grid(figure, 2)[0][0].images[0].get_array().shape) <= 400
    assert figure.get_figheight() < 16


def test_columns_and_rows_are_limited():
    figure = draw_masks(examples(rows=14, names=[f"v{n}" for n in range(11)], shape=(16, 16)), Comparison([]))
    assert len(figure.axes) == 12 * (2 + 8)
    assert max(figure.get_size_inches()) < 22


@pytest.mark.parametrize(
    "name",
    [
        "$x_{$.png",
        "$\\frac{1}{2}$",
        "<b>&amp;",
        "a\nb\x00\t",
        "\N{CJK UNIFIED IDEOGRAPH-8166}\U0001f9e0",
        "",
        "x" * 300,
    ],
)
def test_any_file_name_is_text_that_stays_short(name):
    figure = draw_masks(examples(rows=1, files=[name], names=(name or "a",)), Comparison([]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of glyphs that the font lacks
        figure.draw_without_rendering()
    label = figure.axes[0].yaxis.label
    assert not label.get_parse_math()
    assert not figure.axes[2].title.get_parse_math()
    written = label.get_text().removeprefix("kind 0\n")
    assert len(written) <= 22
    assert "\n" not in written


def test_an_example_without_a_lesion_has_no_outline():
    shown = examples()
    shown.truth[:] = 0
    panels = grid(draw_masks(shown, Comparison([])), 2)
    assert not panels[0][2].collections


def test_without_examples_there_is_no_figure():
    assert draw_masks(examples(rows=0), Comparison([])) is None
