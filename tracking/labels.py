"""Labels beside the points of a picture, put where they cover as little as possible."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

# where a label may stand, in points from its marker: near places first
_DIRECTIONS = ((9, 7), (9, -7), (-9, 7), (-9, -7), (0, 12), (0, -12), (11, 0), (-11, 0))
_PLACES = [(dx * far, dy * far) for far in (1, 1.8, 2.8, 4, 5.5, 7) for dx, dy in _DIRECTIONS]
_NEAR = len(_DIRECTIONS)  # labels in places after these need a line to their point
_MARKER, _LINE = 16.0, 4.0  # sides of the squares, in pixels, that a marker and a place on a line take
_FAR = 25.0  # a label moves further away only if that uncovers so many pixels
_OUTSIDE = 10.0  # covering a pixel inside is bad, standing outside of the axes is this much worse


def label_points(figure: Figure, axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Writes a text beside every point; one that finds its place further away only is joined to the point by a line.

    Args:
        figure: The figure, with an Agg canvas and everything else drawn already: later changes of limits move labels.
        axes: The axes the points are in.
        points: Text, x and y of each point; earlier ones choose first.
    """
    figure.draw_without_rendering()  # settles the layout, so that positions in pixels hold
    markers = _squares(axes.transData.transform([(x, y) for _, x, y in points]), _MARKER)
    taken = np.vstack([markers, *(_squares(_along(line), _LINE) for line in axes.lines)])
    legend = axes.get_legend()
    if legend is not None:
        taken = np.vstack([taken, legend.get_window_extent().extents])
    for text, x, y in points:
        taken = np.vstack([taken, _place(figure, axes, text, (x, y), taken)])


def _place(figure: Figure, axes: Axes, text: str, point: tuple[float, float], taken: np.ndarray) -> np.ndarray:
    """Writes one label and returns its box (left, bottom, right, top) in pixels."""
    scale = figure.dpi / 72
    label = axes.annotate(text, point, (0, 0), textcoords="offset points", fontsize=9, va="center")
    extent = label.get_window_extent()
    boxes = np.array(
        [
            _box(axes.transData.transform(point) + np.multiply(place, scale), place, extent.width, extent.height)
            for place in _PLACES
        ]
    )
    outside = extent.width * extent.height - _overlaps(boxes, np.array([axes.bbox.extents]))[:, 0]
    far = np.arange(len(_PLACES)) // _NEAR
    chosen = int(np.argmin(_overlaps(boxes, taken).sum(axis=1) + _FAR * far + _OUTSIDE * outside))
    label.remove()
    label = axes.annotate(
        text,
        point,
        _PLACES[chosen],
        textcoords="offset points",
        fontsize=9,
        ha=_side(_PLACES[chosen]),
        va="center",
        arrowprops=None if chosen < _NEAR else {"arrowstyle": "-", "color": "#888888", "linewidth": 0.6, "shrinkB": 4},
    )
    label.set_path_effects([withStroke(linewidth=3, foreground="white")])
    return boxes[chosen]


def _side(place: tuple[float, float]) -> str:
    return "center" if place[0] == 0 else "left" if place[0] > 0 else "right"


def _box(anchor: np.ndarray, place: tuple[float, float], width: float, height: float) -> tuple[float, ...]:
    left = anchor[0] - width * {"left": 0.0, "center": 0.5, "right": 1.0}[_side(place)]
    return left, anchor[1] - height / 2, left + width, anchor[1] + height / 2


def _squares(centers: np.ndarray, side: float) -> np.ndarray:
    return np.hstack([centers - side / 2, centers + side / 2])


def _overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the common area of every pair of boxes, (N, 4) and (M, 4) to (N, M)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.clip(high - low, 0, None).prod(axis=2)


def _along(line: Line2D) -> np.ndarray:
    """Returns places in pixels along a drawn line, ten a segment, shape (N, 2)."""
    corners = line.get_transform().transform(line.get_xydata())
    shares = np.linspace(0, 1, 10)[:, None]
    segments = [start + shares * (end - start) for start, end in itertools.pairwise(corners)]
    return np.concatenate(segments) if segments else corners
