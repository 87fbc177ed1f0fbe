"""Differences as text, alike on the screen, in the report and in sentences."""

from __future__ import annotations

import math

from analysis.intervals import Interval

DIGITS = 3  # after the point, unless more are needed


def signed(value: float, digits: int = DIGITS) -> str:
    """Returns a number with its sign, `-0.013`; what rounds to zero has none, `0.000`."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def signed_ends(interval: Interval) -> tuple[str, str, str]:
    """Returns mean, lower and upper end with so many digits that an interval that excludes zero is seen to."""
    digits = DIGITS
    if interval.excludes_zero:
        nearest = min(abs(interval.low), abs(interval.high))
        digits = max(DIGITS, math.ceil(-math.log10(2 * nearest)))
    mean, low, high = (signed(value, digits) for value in (interval.mean, interval.low, interval.high))
    return mean, low, high
