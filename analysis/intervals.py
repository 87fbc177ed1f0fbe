"""95 % intervals of means over images, or over patients where it is known of which patient an image is.

Images are resampled by the percentile bootstrap (Efron 1979). Slices of a patient are alike, and an interval that
takes them as independent is too narrow; so where patients are known, they are resampled whole, with all their images.
Patients are few, and with 10 to 30 of them the percentile bootstrap is too narrow again. Therefore the mean is
studentised by patients: with sums S_g and numbers n_g of patient g's images, the mean m = sum S_g / sum n_g has the
standard error

    se = sqrt(G / (G - 1) * sum (S_g - m n_g)^2) / sum n_g

and the interval is m - t se, with t the quantiles of (m* - m) / se* over resamples, or those of Student's t with G - 1
degrees of freedom where these lie further out (bootstrap t: Efron and Tibshirani 1993, section 12.5; the linearised
ratio: Cochran 1977, section 6.4). Coverage by simulation: docs/intervals.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from dataset.message_text import counted, plural

_RESAMPLES = 9_999
_CONFIDENCE = 0.95
_ENDS = ((1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2)
MIN_UNITS = 10  # images or patients: with fewer, an interval says nothing about others
TOO_FEW = "too few to judge"
SHARE = (0.0, 1.0)  # what Dice and IoU can be
CHANGE = (-1.0, 1.0)  # what their differences can be
_ANYTHING = (-math.inf, math.inf)
_VALUES_AT_ONCE = 2**21  # of resampled values in memory
_NO_SPREAD = 1e-9  # of a resample, relative to the sample's: rounding


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean with its interval.

    Attributes:
        mean: The mean over images.
        low: Lower end, NaN where there are too few images, or patients.
        high: Upper end, likewise.
        images: How many images it is from.
        patients: How many patients they are of, which then were resampled; None where images count as independent.
        trainings: How many trainings it is from, too; None where it judges one.
        noun: What is called a patient here: "patient", "volume" or "series".
    """

    mean: float
    low: float
    high: float
    images: int
    patients: int | None = None
    trainings: int | None = None
    noun: str = "patient"

    @property
    def unit(self) -> str:
        """What was resampled: `images`, or `patients`, `volumes` or `series`."""
        return "images" if self.patients is None else plural(self.noun)

    @property
    def units(self) -> int:
        """How many of them."""
        return self.images if self.patients is None else self.patients

    @property
    def over(self) -> str:
        """For example `41 patients`, `1 image` or `3 trainings and 41 volumes`."""
        units = counted(self.units, "image" if self.patients is None else self.noun)
        return units if self.trainings is None else f"{self.trainings} trainings and {units}"

    @property
    def too_few(self) -> bool:
        """Whether patients, or else images, are fewer than `MIN_UNITS`; then nothing is concluded."""
        return self.units < MIN_UNITS

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0


def mean_interval(
    values: Sequence[float], patients: Sequence[str] = (), limits: tuple[float, float] = _ANYTHING, seed: int = 0
) -> Interval:
    """Returns the mean of one value an image, and its 95 % interval; none of fewer than `MIN_UNITS`.

    Args:
        values: The values.
        patients: The patient of each; none at all where images count as independent.
        limits: What no mean of such values can be below and above.
        seed: Of the resamples.

    Raises:
        ValueError: There are no values, one is not finite, or patients are not as many.
    """
    exact = np.asarray(values, dtype=np.float64)
    if exact.ndim != 1 or not exact.size or not np.isfinite(exact).all():
        raise ValueError("give one finite value for each image, of at least one image")
    if patients and len(patients) != len(exact):
        raise ValueError(f"{len(exact)} values are of {len(patients)} patients; give the patient of each value")
    mean, codes = float(exact.mean()), np.unique(patients, return_inverse=True)[1]
    number = int(codes.max()) + 1 if patients else None
    interval = Interval(mean, math.nan, math.nan, len(exact), number)
    if interval.too_few:
        return interval
    if np.ptp(exact) == 0:
        return dataclasses.replace(interval, low=mean, high=mean)
    rng = np.random.default_rng(seed)
    low, high = _over_images(exact, rng) if number is None else _over_patients(exact, codes, rng)
    return dataclasses.replace(interval, low=max(low, limits[0]), high=min(high, limits[1]))


def paired_interval(
    values: Sequence[float],
    others: Sequence[float],
    patients: Sequence[str] = (),
    limits: tuple[float, float] = _ANYTHING,
    seed: int = 0,
) -> Interval:
    """Returns the mean difference values - others over the same images, and its 95 % interval; see `mean_interval`.

    Raises:
        ValueError: The numbers of images differ.
    """
    if len(values) != len(others):
        raise ValueError(f"{len(values)} values cannot be paired with {len(others)}; both must be of the same images")
    return mean_interval(np.subtract(values, others).tolist(), patients, limits, seed)


def _over_images(values: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float]:
    means = []
    for number in _batches(len(values)):
        means.append(values[rng.integers(len(values), size=(number, len(values)))].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), _ENDS)
    return float(low), float(high)


def _over_patients(
    values: NDArray[np.float64], codes: NDArray[np.intp], rng: np.random.Generator
) -> tuple[float, float]:
    sizes, mean = np.bincount(codes).astype(np.float64), values.mean()
    groups, residuals = len(sizes), np.bincount(codes, values) - mean * sizes
    error = math.sqrt(groups / (groups - 1) * (residuals**2).sum()) / len(values)
    if error < _NO_SPREAD * np.abs(values).max():
        return float(mean), float(mean)
    studentised = []
    for number in _batches(groups):
        drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=number)  # how often each patient
        images = drawn @ sizes
        shift = drawn @ residuals / images  # of the mean
        squares = drawn @ residuals**2 - 2 * shift * (drawn @ (residuals * sizes)) + shift**2 * (drawn @ sizes**2)
        errors = np.sqrt(groups / (groups - 1) * np.maximum(squares, 0)) / images
        spread = errors > _NO_SPREAD * error
        studentised.append(shift[spread] / errors[spread])
    low, high = np.quantile(np.concatenate(studentised), _ENDS)
    student = float(stdtrit(groups - 1, _ENDS[1]))
    return float(mean - max(high, student) * error), float(mean + max(-low, student) * error)


def _batches(units: int) -> list[int]:
    """Returns how many resamples of so many units are drawn at once, batch by batch."""
    at_once = max(1, _VALUES_AT_ONCE // units)
    return [min(at_once, _RESAMPLES - first) for first in range(0, _RESAMPLES, at_once)]
