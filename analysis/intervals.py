"""95 % intervals of means over images, from the percentile bootstrap over images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

_RESAMPLES = 9_999
_CONFIDENCE = 0.95
MIN_IMAGES = 10  # with fewer, an interval says nothing about other images
TOO_FEW = "too few to judge"
_VALUES_AT_ONCE = 2**21  # of resampled values in memory


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean with its interval.

    Attributes:
        mean: The mean over images.
        low: Lower end, NaN where the images are too few.
        high: Upper end, likewise.
        images: How many images it is from.
    """

    mean: float
    low: float
    high: float
    images: int

    @property
    def too_few(self) -> bool:
        """Whether the images are fewer than `MIN_IMAGES`; then nothing is concluded."""
        return self.images < MIN_IMAGES

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0


def mean_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """Returns the mean of one value an image, and its 95 % interval (Efron 1979); none of fewer than `MIN_IMAGES`.

    Raises:
        ValueError: There are no values, or one is not finite.
    """
    exact = np.asarray(values, dtype=np.float64)
    if exact.ndim != 1 or not exact.size or not np.isfinite(exact).all():
        raise ValueError("give one finite value for each image, of at least one image")
    mean = float(exact.mean())
    if len(exact) < MIN_IMAGES:
        return Interval(mean, math.nan, math.nan, len(exact))
    if np.ptp(exact) == 0:
        return Interval(mean, mean, mean, len(exact))
    rng, at_once, means = np.random.default_rng(seed), max(1, _VALUES_AT_ONCE // len(exact)), []
    for first in range(0, _RESAMPLES, at_once):
        drawn = rng.integers(len(exact), size=(min(at_once, _RESAMPLES - first), len(exact)))
        means.append(exact[drawn].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Interval(mean, float(low), float(high), len(exact))


def paired_interval(values: Sequence[float], others: Sequence[float], seed: int = 0) -> Interval:
    """Returns the mean difference values - others over the same images, and its 95 % interval.

    Raises:
        ValueError: The numbers of images differ.
    """
    if len(values) != len(others):
        raise ValueError(f"{len(values)} values cannot be paired with {len(others)}; both must be of the same images")
    return mean_interval(np.subtract(values, others).tolist(), seed)
