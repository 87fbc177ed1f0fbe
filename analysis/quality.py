"""The quality of a variant with its uncertainty: intervals, differences to the baseline, lesion sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.intervals import CHANGE, SHARE, Interval, mean_interval, paired_interval
from models.evaluation.results import EvaluationResult

PER_PATIENT = "dice_patient"
MEASURED = ("dice_lesion", "iou_lesion", "dice", "iou", PER_PATIENT)
LESION_SIZES = ("small", "medium", "large")


@dataclasses.dataclass(frozen=True)
class Quality:
    """One variant's quality; intervals are 95 %, over patients where these are known, else over images.

    Attributes:
        mean: Each of `MEASURED` to its interval.
        change: The same against the baseline over the same images, variant minus baseline; empty for the baseline.
        by_lesion: `small`, `medium` and `large` to the interval of Dice on images with such a lesion.
    """

    mean: Mapping[str, Interval]
    change: Mapping[str, Interval]
    by_lesion: Mapping[str, Interval]

    def numbers(self) -> dict[str, dict[str, float]]:
        """Returns all ends of all intervals: section to name to value."""
        ci95: dict[str, float] = {}
        change: dict[str, float] = {}
        lesions: dict[str, float] = {}
        for name, interval in self.mean.items():
            ci95 |= _ends(name, interval)
        for name, interval in self.change.items():
            change |= {name: interval.mean, **_ends(name, interval)}
        for size, interval in self.by_lesion.items():
            lesions |= {f"dice_{size}": interval.mean, **_ends(f"dice_{size}", interval)}
        return {"ci95": ci95, "change": change, "lesions": lesions}


@dataclasses.dataclass(frozen=True)
class LesionGroup:
    """The images whose lesion is of one size.

    Attributes:
        size: `small`, `medium` or `large`.
        smallest_px: Fewest pixels of a true mask among them.
        largest_px: Most pixels of a true mask among them.
        rows: Which images, as indices.
    """

    size: str
    smallest_px: float
    largest_px: float
    rows: NDArray[np.intp]


def lesion_groups(baseline: EvaluationResult) -> list[LesionGroup]:
    """Splits the images that have a lesion at the terciles of its area; equal areas stay together.

    There are no groups where areas are not known, or do not differ enough for three.
    """
    areas = np.asarray(baseline.per_image.get("lesion_px", []))
    if not (areas > 0).any():
        return []
    limits = np.quantile(areas[areas > 0], (1 / 3, 2 / 3))
    place = np.where(areas > 0, np.searchsorted(limits, areas), -1)
    groups = []
    for number, size in enumerate(LESION_SIZES):
        rows = np.flatnonzero(place == number)
        if rows.size:
            groups.append(LesionGroup(size, float(areas[rows].min()), float(areas[rows].max()), rows))
    return groups if len(groups) == len(LESION_SIZES) else []


def of_images(result: EvaluationResult, name: str) -> list[float]:
    """Returns a metric's values of single test images; of `..._lesion` those of images with a lesion.

    Of `dice_patient` they are those of patients. Empty where they are not known.
    """
    if name == PER_PATIENT:
        return list(result.per_group.values())
    values = result.per_image.get(name.removesuffix("_lesion"), [])
    if not name.endswith("_lesion"):
        return values
    return [values[row] for row in _rows_with_lesion(result)] if values else []


def patients_of(result: EvaluationResult, name: str) -> list[str]:
    """Returns the patient of each of the values that `of_images` returns; empty where patients are not known."""
    if name == PER_PATIENT:
        return list(result.per_group)
    if not name.endswith("_lesion"):
        return result.groups
    return [result.groups[row] for row in _rows_with_lesion(result)] if result.groups else []


def quality(result: EvaluationResult, baseline: EvaluationResult | None) -> Quality:
    """Returns the quality of a variant; intervals are left out where there are no values of single images.

    Args:
        result: The variant.
        baseline: What it is compared with, image by image; None, or the variant itself, is compared with nothing.
    """
    own = {name: values for name in MEASURED if (values := of_images(result, name))}
    others: Mapping[str, Sequence[float]] = {}
    if baseline is not None and baseline is not result:
        found = {name: of_images(baseline, name) for name in own}
        others = {name: values for name, values in found.items() if len(values) == len(own[name])}
    patients = {name: patients_of(result, name) for name in own}
    return Quality(
        mean={name: called(mean_interval(values, patients[name], SHARE), result) for name, values in own.items()},
        change={
            name: called(paired_interval(own[name], others[name], patients[name], CHANGE), result)
            for name in own
            if name in others
        },
        by_lesion=_by_lesion(result) if "dice" in own else {},
    )


def _by_lesion(result: EvaluationResult) -> dict[str, Interval]:
    dice, patients = result.per_image["dice"], result.groups
    found = {}
    for group in lesion_groups(result):
        known = [patients[row] for row in group.rows] if patients else []
        found[group.size] = called(mean_interval([dice[row] for row in group.rows], known, SHARE), result)
    return found


def called(interval: Interval, result: EvaluationResult) -> Interval:
    """Returns an interval that calls patients what the data call them."""
    return dataclasses.replace(interval, noun=result.group_noun)


def _rows_with_lesion(result: EvaluationResult) -> list[int]:
    return [row for row, area in enumerate(result.per_image.get("lesion_px", [])) if area > 0]


def paired(result: EvaluationResult, other: EvaluationResult, name: str) -> Interval | None:
    """Returns the difference of two variants, the first minus the second, over the same images; None if not known."""
    values, others = of_images(result, name), of_images(other, name)
    return (
        called(paired_interval(values, others, patients_of(result, name), CHANGE), result)
        if values and len(values) == len(others)
        else None
    )


def _ends(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}_low": interval.low, f"{name}_high": interval.high}
