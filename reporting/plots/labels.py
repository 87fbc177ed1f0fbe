"""Labels beside the points of a picture, placed where they cover as little as possible.

Labels keep clear of markers, lines, bars and one another, and the same picture always gets the same places. adjustText,
the library for this, moves labels apart by simulated forces: with it some stood on lines and markers of our pictures.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from numpy.typing import NDArray

# places of a label, in points from its marker: near ones first
_DIRECTIONS = ((9, 7), (9, -7), (-9, 7), (-9, -7), (0, 12), (0, -12), (11, 0), (-11, 0))
_PLACES = [(dx * far, dy * far) for far in (1, 1.8, 2.8, 4, 5.5, 7) for dx, dy in _DIRECTIONS]
_NEAR = len(_DIRECTIONS)  # labels in places after these need a line to their point
_MARKER, _LINE = 16.0, 4.0  # sides, in pixels, of the squares that stand for a marker and for a point of a line
_FAR = 25.0  # a label moves one ring further away only if that uncovers this many pixels
_OUTSIDE = 10.0  # cost of a pixel outside the axes; a covered pixel costs 1
_ON_LABEL = 3.0  # cost of a pixel of another label, or of its line, that is covered or crossed
_ROUNDS = 3  # labels choose again when those after them have chosen


@dataclasses.dataclass(frozen=True)
class Label:
    """A text beside a point.

    Attributes:
        text: The text.
        x: The point, in data coordinates.
        y: The point, in data coordinates.
        color: Colour of the text.
        weight: Weight of the text, `normal` or `bold`.
    """

    text: str
    x: float
    y: float
    color: str = "black"
    weight: str = "normal"


def label_points(figure: Figure, axes: Axes, labels: Sequence[Label], points: NDArray[np.float64]) -> None:
    """Writes a label beside each point; a label that has to stand further away is joined to its point by a line.

    The layout of the figure is computed here and does not change afterwards.

    Args:
        figure: The figure, with an Agg canvas and everything else drawn: labels do not follow later changes of limits.
        axes: The axes of the points.
        labels: The labels; earlier ones choose their place first.
        points: All points that have a marker, labelled or not, in data coordinates, shape (N, 2).
    """
    figure.draw_without_rendering()  # computes the layout, so that positions in pixels are final
    figure.set_layout_engine("none")
    if not labels:
        return
    texts = [_write(axes, label, (0, 0)) for label in labels]
    sizes = [text.get_window_extent() for text in texts]
    for text in texts:
        text.remove()
    anchors = axes.transData.transform([(label.x, label.y) for label in labels])
    scale = figure.dpi / 72
    places = [
        np.array([_box(anchor + np.multiply(place, scale), place, size.width, size.height) for place in _PLACES])
        for anchor, size in zip(anchors, sizes, strict=True)
    ]
    taken = np.vstack([_squares(axes.transData.transform(points), _MARKER), _drawn_lines(axes)])
    for label, chosen in zip(labels, _choose(places, anchors, taken, np.array(axes.bbox.extents)), strict=True):
        _write(axes, label, _PLACES[chosen], joined=chosen >= _NEAR)


def _choose(
    places: Sequence[NDArray[np.float64]],
    anchors: NDArray[np.float64],
    taken: NDArray[np.float64],
    inside: NDArray[np.float64],
) -> list[int]:
    """Returns the index of the place that each label takes.

    Args:
        places: For each label the boxes of its places, in pixels, shape (places, 4).
        anchors: The points of the labels, in pixels, shape (N, 2).
        taken: Boxes of what is drawn already, in pixels, shape (M, 4).
        inside: Box of the axes, in pixels, shape (4,).
    """
    far = np.arange(len(_PLACES)) // _NEAR
    fixed = [_overlaps(boxes, taken).sum(axis=1) + _FAR * far + _OUTSIDE * _outside(boxes, inside) for boxes in places]
    leaders = [_leaders(boxes, anchor) for boxes, anchor in zip(places, anchors, strict=True)]
    chosen: dict[int, int] = {}
    for number in [*range(len(places))] * _ROUNDS:
        others = [other for other in chosen if other != number]
        cost = fixed[number]
        if others:
            boxes = np.array([places[other][chosen[other]] for other in others])
            lines = np.concatenate([leaders[other][chosen[other]] for other in others])
            own = _overlaps(leaders[number].reshape(-1, 4), boxes).sum(axis=1).reshape(len(_PLACES), -1).sum(axis=1)
            covered = _overlaps(places[number], np.vstack([boxes, lines])).sum(axis=1)
            cost = cost + _ON_LABEL * (covered + own)
        chosen[number] = int(np.argmin(cost))
    return [chosen[number] for number in range(len(places))]


def _write(axes: Axes, label: Label, place: tuple[float, float], joined: bool = False) -> Annotation:
    line = {"arrowstyle": "-", "color": "#888888", "linewidth": 0.6, "shrinkB": 4}
    text = axes.annotate(
        label.text,
        (label.x, label.y),
        place,
        textcoords="offset points",
        fontsize=9,
        color=label.color,
        weight=label.weight,
        ha=_side(place),
        va="center",
        arrowprops=line if joined else None,
        annotation_clip=False,
    )
    text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    return text


def _side(place: tuple[float, float]) -> str:
    return "center" if place[0] == 0 else "left" if place[0] > 0 else "right"


def _box(anchor: NDArray[np.float64], place: tuple[float, float], width: float, height: float) -> tuple[float, ...]:
    left = anchor[0] - width * {"left": 0.0, "center": 0.5, "right": 1.0}[_side(place)]
    return left, anchor[1] - height / 2, left + width, anchor[1] + height / 2


def _leaders(boxes: NDArray[np.float64], anchor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns squares along the line from a point to each place, shape (places, 6, 4); of size 0 for near places."""
    ends = np.clip(anchor, boxes[:, :2], boxes[:, 2:])
    shares = np.linspace(0.15, 0.9, 6)[None, :, None]
    squares = _squares(anchor + shares * (ends - anchor)[:, None, :], _LINE)
    squares[:_NEAR] = 0
    return squares


def _squares(centers: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    return np.concatenate([centers - side / 2, centers + side / 2], axis=-1)


def _outside(boxes: NDArray[np.float64], inside: NDArray[np.float64]) -> NDArray[np.float64]:
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return area - _overlaps(boxes, np.array([inside]))[:, 0]


def _overlaps(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the area that each pair of boxes has in common: (N, 4) and (M, 4) to (N, M)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.clip(high - low, 0, None).prod(axis=2)


def _drawn_lines(axes: Axes) -> NDArray[np.float64]:
    """Returns squares along all lines and bars that are drawn, in pixels, shape (N, 4)."""
    lines = [line.get_transform().transform(line.get_xydata()) for line in axes.lines if line.get_linestyle() != "None"]
    for bars in axes.collections:
        if isinstance(bars, LineCollection):
            lines += [bars.get_transform().transform(bar) for bar in bars.get_segments()]
    return np.vstack([np.empty((0, 4)), *(_squares(_along(line), _LINE) for line in lines)])


def _along(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns points along a line through corners, ten for each segment, shape (N, 2)."""
    shares = np.linspace(0, 1, 10)[:, None]
    segments = [start + shares * (end - start) for start, end in itertools.pairwise(corners)]
    return np.concatenate(segments) if segments else corners
