"""Predicted masks of some variants on a few images, beside the truth."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from analysis.comparison import Comparison
from analysis.examples import Examples
from reporting.label_colors import LABEL_COLORS, label_color
from reporting.plots.series import long_label
from reporting.plots.style import new_figure, shortened

_ALPHA = 0.5
_EDGE = 0.3  # share of the colour in edges: dark edges show on bright tissue, and the filled area shows on dark
_MAX_COLUMNS = 8  # of predictions
_MAX_ROWS = 12
_MAX_PIXELS = 400  # of a side; the picture has no more for it
_WIDTH = 14.0  # inches, shared by the columns
_CELLS = (1.5, 2.6)  # smallest and largest side of a cell, in inches
_NAME_LENGTH = 19
_LINE = 0.15  # inches of a further line of a title
_LEGEND = 0.3  # inches


def draw_masks(examples: Examples, comparison: Comparison) -> Figure | None:
    """Draws a row for each example: image, truth, and predictions with the outline of the truth and their Dice.

    Returns:
        The figure, None where there is no example.
    """
    rows = min(len(examples.images), _MAX_ROWS)
    if rows == 0:
        return None
    predictions = dict(list(examples.predictions.items())[:_MAX_COLUMNS])
    titles = {result.name: _title(long_label(result)) for result in comparison.results}
    lines = max(titles.get(name, "").count("\n") for name in predictions) if predictions else 0
    dice = {result.name: result.per_image.get("dice", []) for result in comparison.results}
    cell = float(np.clip(_WIDTH / (2 + len(predictions)), *_CELLS))
    height = cell * float(np.clip(examples.images.shape[1] / examples.images.shape[2], 0.4, 2.5))
    figure = new_figure((cell + 0.06) * (2 + len(predictions)) + 0.6, (height + 0.26) * rows + 0.7 + _LINE * lines)
    legend = _LEGEND / figure.get_figheight()
    figure.set_layout_engine("tight", w_pad=0.3, h_pad=0.3, rect=(0, legend, 1, 1))
    panels = figure.subplots(rows, 2 + len(predictions), squeeze=False)
    for title, axes in zip(["image", "truth", *predictions], panels[0], strict=True):
        axes.set_title(titles.get(title, shortened(title, _NAME_LENGTH)), fontsize=9, parse_math=False)
    for row in range(rows):
        of_row = {name: labels[row] for name, labels in predictions.items()}
        _draw_row(panels[row], examples.images[row], examples.truth[row], of_row)
        for axes, name in zip(panels[row][2:], predictions, strict=True):
            values = dice.get(name, [])
            if examples.rows[row] < len(values):
                axes.set_xlabel(f"Dice {values[examples.rows[row]]:.2f}", fontsize=8, labelpad=2)
        place = f"{shortened(examples.kinds[row], _NAME_LENGTH)}\n{shortened(examples.file_names[row], _NAME_LENGTH)}"
        panels[row][0].set_ylabel(place, fontsize=8, parse_math=False)
    _add_legend(figure, int(max([examples.truth.max(), *(labels.max() for labels in predictions.values())])))
    return figure


def _title(label: str) -> str:
    """Returns a label in lines that a column has room for; what is cut is no name any more, so a word alone may be."""
    lines = [line for part in label.split(", ") for line in wrap(part, _NAME_LENGTH, break_long_words=False)]
    return "\n".join(shortened(line, _NAME_LENGTH) for line in lines)


def _draw_row(
    panels: NDArray[np.object_],
    image: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    predictions: dict[str, NDArray[np.uint8]],
) -> None:
    step = -(-max(truth.shape) // _MAX_PIXELS)
    gray = image[::step, ::step]
    colors = np.repeat(gray, 3, axis=2) if gray.shape[2] == 1 else gray[..., :3]
    small = truth[::step, ::step]
    outline = _outline(panels[1], small)
    for axes, labels in ((panels[0], None), (panels[1], small)):
        _draw_cell(axes, colors, labels)
    _draw_outline(panels[1], outline)
    for axes, labels in zip(panels[2:], predictions.values(), strict=True):
        _draw_cell(axes, colors, labels[::step, ::step])
        _draw_outline(axes, outline)


def _draw_cell(axes: Axes, image: NDArray[np.uint8], labels: NDArray[np.uint8] | None) -> None:
    """Draws an image; labelled areas are filled translucently and have an edge, so that they show in gray too."""
    pixels = image / 255
    if labels is not None:
        for label in np.unique(labels[labels > 0]):
            area, color = labels == label, np.array(_color(int(label)))
            pixels[area] = (1 - _ALPHA) * pixels[area] + _ALPHA * color
            pixels[_edge(area)] = _EDGE * color
    axes.imshow(pixels, interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def _edge(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns the pixels of an area that have a neighbour outside of it."""
    wide = np.pad(area, 1, mode="edge")
    return area & ~(wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:])


def _outline(axes: Axes, truth: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Returns the outlines of all labels as lines; they are closed along the border of the image."""
    lines: list[NDArray[np.float64]] = []
    padded = np.pad(truth, 1)
    for label in np.unique(truth[truth > 0]):
        contour = axes.contour(padded == label, levels=[0.5])
        lines += [segment - 1 for segment in contour.allsegs[0]]
        contour.remove()
    return lines


def _draw_outline(axes: Axes, lines: list[NDArray[np.float64]]) -> None:
    """Draws black dashes over a white line, which shows on dark and on bright images."""
    if lines:
        axes.add_collection(LineCollection(lines, colors="white", linewidths=1.1), autolim=False)
        axes.add_collection(
            LineCollection(lines, colors="black", linewidths=1.1, linestyles=(0, (2, 2))), autolim=False
        )


def _color(label: int) -> tuple[float, float, float]:
    """Returns the red, green and blue of a label, 0 to 1."""
    return to_rgb(label_color(label))


def _add_legend(figure: Figure, labels: int) -> None:
    area = "mask (filled)" if labels <= 1 else "label {}"
    patches = [
        Patch(facecolor=(*_color(label), 0.7), label=area.format(label)) for label in range(1, max(labels, 1) + 1)
    ]
    outline = Patch(facecolor="white", edgecolor="black", linestyle=(0, (2, 2)), label="outline of the truth")
    figure.legend(
        handles=[*patches[: len(LABEL_COLORS)], outline], loc="lower center", ncols=8, fontsize=8, frameon=False
    )
