"""What holds of a method, not of one network: means over trainings by several seeds, with intervals.

The Dice of training t on image i is taken as mu + a_t + b_i + e_ti: trainings differ, images differ, and all trainings
are judged on the same images. The mean over both has two sources of variance, and each is estimated by the spread of
its own means: that of the T trainings' means, s_T / sqrt(T) with T - 1 degrees of freedom, and that over images (or
patients, whole) of the images' means over trainings, as in `analysis.intervals`, with n - 1. The interval is

    mean +- sqrt((t_(T-1) s_T)^2 / T + (t_(n-1) s_n)^2)

where s_n is the standard error over images or patients: half-widths of two independent sources are combined in
quadrature (MOVER: Zou and Donner 2008, Statistics in Medicine 27; Graybill and Wang 1980 for variances). What is
specific to a training on an image, e, counts in both and errs on the safe side. Two trainings give wide intervals, as
they should: t_1 is 12.7, t_2 4.3. Coverage by simulation: docs/trainings.md.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit

from analysis.intervals import CHANGE, SHARE, Interval
from analysis.quality import called, of_images, patients_of
from analysis.ranking import JUDGED, SAME_SIZE_FACTOR, metric
from models.evaluation.results import EvaluationResult

_UPPER = 0.975


@dataclasses.dataclass(frozen=True)
class OverTrainings:
    """One variant, made of every training by another seed.

    Attributes:
        variants: The networks, that of the first seed first.
        sd: Standard deviation of their Dice on images with a lesion.
        mean: Their mean Dice with its interval over trainings and images; None where values of images are not known.
        change: The same of the difference to the dense network of the main width and the same seed; None for that
            network itself.
        change_sd: Standard deviation of that difference over trainings, None likewise.
    """

    variants: tuple[EvaluationResult, ...]
    sd: float
    mean: Interval | None
    change: Interval | None
    change_sd: float | None

    @property
    def name(self) -> str:
        """The name of the first seed's network, which says width, method and setting."""
        return self.variants[0].name

    @property
    def dice(self) -> float:
        """The mean over trainings of the Dice that networks are judged by."""
        return statistics.fmean(metric(each, JUDGED) for each in self.variants)

    @property
    def params(self) -> float:
        """The mean number of parameters."""
        return statistics.fmean(each.cost.params for each in self.variants)

    @property
    def sizes(self) -> tuple[int, int] | None:
        """The fewest and the most parameters, None where all are of a size: a search finds another one each time."""
        params = [each.cost.params for each in self.variants]
        return None if max(params) <= SAME_SIZE_FACTOR * min(params) else (min(params), max(params))

    def to_dict(self) -> dict[str, Any]:
        """Returns the line as JSON-like data."""
        found = {name: None if value is None else _ends(value) for name, value in self._intervals().items()}
        return {
            "variant": self.name,
            "method": self.variants[0].method,
            "filters": self.variants[0].spec.filters,
            "distilled": self.variants[0].spec.distilled,
            "trainings": len(self.variants),
            "variants": [each.name for each in self.variants],
            "params": self.params,
            "sizes": self.sizes,
            JUDGED: {"mean": self.dice, "sd": self.sd, "interval": found["mean"]},
            "change": {
                "mean": None if self.change is None else self.change.mean,
                "sd": self.change_sd,
                "interval": found["change"],
            },
        }

    def _intervals(self) -> dict[str, Interval | None]:
        return {"mean": self.mean, "change": self.change}


def over_trainings(results: Sequence[EvaluationResult]) -> list[OverTrainings]:
    """Returns one line for each width, method and setting that several seeds have; none where there is one seed."""
    groups = by_variant(results)
    dense = {each.spec.seed: each for each in results if each.spec.is_dense and each.spec.filters is None}
    lines = []
    for group in groups.values():
        others = [dense[each.spec.seed] for each in group if each.spec.seed in dense]
        if len(group) < 2:
            continue
        compared = len(others) == len(group) and others != group
        shifts = [metric(ours, JUDGED) - metric(other, JUDGED) for ours, other in zip(group, others, strict=False)]
        lines.append(
            OverTrainings(
                variants=tuple(group),
                sd=_deviation([metric(each, JUDGED) for each in group]),
                mean=_mean(group, JUDGED),
                change=paired_over_trainings(group, others, JUDGED) if compared else None,
                change_sd=_deviation(shifts) if compared else None,
            )
        )
    return lines


def by_variant(results: Sequence[EvaluationResult]) -> Mapping[str, list[EvaluationResult]]:
    """Returns the name of each variant of the first seed to that variant of every seed, in the order of results."""
    groups: dict[str, list[EvaluationResult]] = {}
    for result in results:
        groups.setdefault(result.spec.of_first_seed.name, []).append(result)
    return groups


def paired_over_trainings(
    ours: Sequence[EvaluationResult], others: Sequence[EvaluationResult], name: str
) -> Interval | None:
    """Returns the difference of two variants, training by training and image by image, with its interval.

    Args:
        ours: One variant of each training.
        others: The other variant of the same trainings, in the same order.
        name: The metric.

    Returns:
        The first minus the second; None where values of images are not known.
    """
    pairs = [(of_images(each, name), of_images(other, name)) for each, other in zip(ours, others, strict=True)]
    if not all(own and len(own) == len(other) for own, other in pairs) or len({len(own) for own, _ in pairs}) != 1:
        return None
    values = [np.subtract(own, other).tolist() for own, other in pairs]
    return called(training_interval(values, patients_of(ours[0], name), CHANGE), ours[0])


def _mean(group: Sequence[EvaluationResult], name: str) -> Interval | None:
    values = [of_images(each, name) for each in group]
    if not values[0] or len({len(own) for own in values}) != 1:
        return None
    return called(training_interval(values, patients_of(group[0], name), SHARE), group[0])


def training_interval(
    values: Sequence[Sequence[float]], patients: Sequence[str] = (), limits: tuple[float, float] = (-math.inf, math.inf)
) -> Interval:
    """Returns the mean over trainings and images, and its 95 % interval; none of fewer than ten images or patients.

    Args:
        values: One value for each training and image, (T, n), T at least 2.
        patients: The patient of each image; none at all where images count as independent.
        limits: What no mean of such values can be below and above.

    Raises:
        ValueError: There are not two trainings, they are of different images, or patients are not as many as images.
    """
    exact = np.asarray(values, dtype=np.float64)
    if exact.ndim != 2 or exact.shape[0] < 2 or not exact.shape[1] or not np.isfinite(exact).all():
        raise ValueError("give finite values of two trainings or more, each of the same images")
    if patients and len(patients) != exact.shape[1]:
        raise ValueError(f"{exact.shape[1]} images are of {len(patients)} patients; give the patient of each image")
    trainings, images = exact.shape
    mean, of_images_ = float(exact.mean()), exact.mean(axis=0)
    codes = np.unique(patients, return_inverse=True)[1] if patients else np.arange(images)
    sizes = np.bincount(codes).astype(np.float64)
    units = len(sizes)
    interval = Interval(mean, math.nan, math.nan, images, units if patients else None, trainings)
    if interval.too_few:
        return interval
    residuals = np.bincount(codes, of_images_) - mean * sizes
    over_units = math.sqrt(units / (units - 1) * float((residuals**2).sum())) / images
    over_runs = float(exact.mean(axis=1).std(ddof=1)) / math.sqrt(trainings)
    half = math.hypot(stdtrit(trainings - 1, _UPPER) * over_runs, stdtrit(units - 1, _UPPER) * over_units)
    return dataclasses.replace(interval, low=max(mean - half, limits[0]), high=min(mean + half, limits[1]))


def _deviation(values: Sequence[float]) -> float:
    """Returns the standard deviation, NaN where a value is not known."""
    return float(np.std(values, ddof=1))


def _ends(interval: Interval) -> list[float]:
    return [interval.low, interval.high]
