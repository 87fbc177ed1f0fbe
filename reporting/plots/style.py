"""What all pictures share: figures without pyplot, intervals, and text that fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.transforms import ScaledTranslation

from analysis.intervals import Interval

GRAY = "#555555"
WIDE_RANGE = 4  # from this ratio of largest to smallest on, an axis is logarithmic
# of variants of one method, which share colour and line
VARIANT_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


def new_figure(width: float, height: float, layout: Literal["tight"] | None = "tight") -> Figure:
    """Returns an empty figure that pyplot does not manage; width and height in inches."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def draw_intervals(axes: Axes, x: Sequence[float], intervals: Sequence[Interval | None], color: str) -> LineCollection:
    """Draws 95 % intervals as thin bars behind everything else; none where there is none, or too few images."""
    segments = [
        [(place, interval.low), (place, interval.high)]
        for place, interval in zip(x, intervals, strict=True)
        if interval is not None and not interval.too_few
    ]
    bars = LineCollection(segments, colors=color, linewidths=1, alpha=0.55, zorder=1)
    axes.add_collection(bars)
    return bars


def draw_baseline(axes: Axes, value: float, interval: Interval | None) -> None:
    """Draws the baseline's value as a thin line over the whole width, and its interval as a light band."""
    if interval is not None and interval.high > interval.low:
        axes.axhspan(interval.low, interval.high, color="black", alpha=0.08, linewidth=0, zorder=0)
    axes.axhline(value, color="black", linestyle="--", linewidth=0.8, zorder=1, label="_baseline")


def shift(axes: Axes, artist: Artist, points: float) -> None:
    """Moves what is drawn in axes sideways by points: artists of equal x stand side by side and keep their data."""
    artist.set_transform(axes.transData + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans))


def shortened_layer(name: str, length: int) -> str:
    """Shortens a layer's name to a length; its ends say most: `down1.m.1.double_conv.0`."""
    parts = name.split(".")
    for place in range(1, len(parts) - 1):
        if len(".".join(parts)) <= length:
            break
        parts[place] = parts[place] if parts[place].isdigit() else parts[place][:1]
    return shortened(".".join(parts), length)


def shortened(text: str, length: int) -> str:
    """Returns text that a picture can hold: the middle left out, and what the font lacks replaced by a box."""
    known = get_font(findfont(FontProperties())).get_charmap()
    drawn = "".join(char if char.isprintable() and ord(char) in known else "\N{WHITE SQUARE}" for char in text)
    if len(drawn) <= length:
        return drawn
    tail = (length - 1) // 2
    return f"{drawn[: length - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{drawn[len(drawn) - tail :]}"
