"""Intervals, differences to the baseline, sizes of lesions."""

import dataclasses
import math

import numpy as np
import pytest

from analysis.comparison import Comparison
from analysis.quality import lesion_groups, quality
from models.evaluation.results import EvaluationResult
from models.variant_spec import VariantSpec
from tests.comparisons import make_result, of_patients

AREAS = [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]


def measured(method: str, value: float | None, dice: list[float], areas: list[float] | None = None) -> EvaluationResult:
    made = make_result(method, value, float(np.mean(dice)), 1000)
    return dataclasses.replace(
        made, per_image={"dice": dice, "iou": dice, "lesion_px": areas or AREAS * (len(dice) // 7)}
    )


def test_lesions_are_split_at_the_terciles_of_their_area() -> None:
    groups = lesion_groups(measured("baseline", None, [0.5] * 7))
    assert [(group.size, group.rows.tolist()) for group in groups] == [
        ("small", [1, 2]),
        ("medium", [3, 4]),
        ("large", [5, 6]),
    ], "the image without a lesion is in none"
    assert [(group.smallest_px, group.largest_px) for group in groups] == [(10, 20), (30, 40), (50, 60)]


@pytest.mark.parametrize("areas", [[], [0.0, 0.0], [7.0, 7.0, 7.0], [1.0, 2.0]])
def test_without_lesions_of_three_sizes_there_are_no_groups(areas: list[float]) -> None:
    result = dataclasses.replace(make_result("baseline", None, 0.5, 10), per_image={"lesion_px": areas})
    assert lesion_groups(result) == []


def test_dice_by_size_is_the_mean_over_the_images_of_that_size() -> None:
    found = quality(measured("baseline", None, [1.0, 0.1, 0.3, 0.5, 0.7, 0.8, 1.0]), None)
    means = {size: interval.mean for size, interval in found.by_lesion.items()}
    assert means == {"small": pytest.approx(0.2), "medium": pytest.approx(0.6), "large": pytest.approx(0.9)}


def test_the_change_is_paired_and_that_of_the_baseline_is_none() -> None:
    full = measured("baseline", None, [0.9, 0.2, 0.8, 0.4, 0.7, 0.5, 0.6] * 3)
    worse = measured("svd", 8, [value - 0.01 for value in full.per_image["dice"]])
    comparison = Comparison([worse, full])
    assert comparison.qualities["baseline"].change == {}
    change = comparison.qualities["svd_rank_8"].change["dice"]
    assert (change.mean, change.low, change.high) == pytest.approx((-0.01, -0.01, -0.01))
    interval = comparison.qualities["svd_rank_8"].mean["dice"]
    assert interval.high - interval.low > 0.1, "the images differ much more than the networks"


def test_a_network_against_itself_has_an_interval_around_zero() -> None:
    full = measured("baseline", None, [0.9, 0.2, 0.8, 0.4, 0.7, 0.5, 0.6] * 3)
    same = dataclasses.replace(full, spec=VariantSpec("svd", rank=8))
    change = Comparison([full, same]).qualities["svd_rank_8"].change["dice"]
    assert change.low <= 0 <= change.high


def test_values_of_other_images_are_not_compared() -> None:
    full = measured("baseline", None, [0.5] * 7)
    assert quality(measured("svd", 8, [0.4] * 3, [1.0, 2.0, 3.0]), full).change == {}


def test_all_ends_are_numbers_with_a_name() -> None:
    full = measured("baseline", None, [0.9, 0.2, 0.8, 0.4, 0.7, 0.5, 0.6] * 3)
    numbers = quality(measured("svd", 8, [0.1] * 21), full).numbers()
    names = ("dice_lesion", "iou_lesion", "dice", "iou")
    assert set(numbers["ci95"]) == {f"{name}_{end}" for name in names for end in ("low", "high")}
    assert set(numbers["change"]) == {*names, *numbers["ci95"]}
    assert len(numbers["lesions"]) == 9
    assert all(math.isfinite(value) for name in ("ci95", "change") for value in numbers[name].values())
    assert math.isnan(numbers["lesions"]["dice_small_low"]), "of six images"


def test_dice_on_lesions_leaves_images_without_one_out() -> None:
    dice, areas = [1.0, 0.5] * 10, [0.0, 9.0] * 10
    full = measured("baseline", None, dice, areas)
    lower = measured("svd", 8, [1.0, 0.4] * 10, areas)
    found = quality(lower, full)
    assert (found.mean["dice"].mean, found.mean["dice_lesion"].mean) == (pytest.approx(0.7), pytest.approx(0.4))
    change = found.change["dice_lesion"]
    assert (change.mean, change.images) == (pytest.approx(-0.1), 10)
    assert found.change["dice"].mean == pytest.approx(-0.05)


ALIKE = [0.9] * 14 + [0.5] * 14 + [0.8] * 14 + [0.3] * 14 + [0.7] * 14  # blocks of 14 images


def in_blocks(result: EvaluationResult, images: int) -> EvaluationResult:
    """Successive images are of one patient."""
    groups = [f"p{row // images:02}" for row in range(len(result.per_image["dice"]))]
    return dataclasses.replace(result, groups=groups, per_group=dict.fromkeys(groups, 0.5))


def test_where_patients_are_known_all_intervals_are_over_them() -> None:
    full = in_blocks(measured("baseline", None, ALIKE), 7)
    lower = in_blocks(measured("svd", 8, [value - 0.1 for value in ALIKE]), 7)
    found = quality(lower, full)
    for intervals in (found.mean, found.change, found.by_lesion):
        assert {each.patients for each in intervals.values()} == {10}
    assert set(found.change) == {"dice_lesion", "iou_lesion", "dice", "iou", "dice_patient"}


def test_slices_of_a_patient_that_are_alike_make_the_interval_wider() -> None:
    over_images = quality(measured("baseline", None, ALIKE), None).mean["dice"]
    over_patients = quality(in_blocks(measured("baseline", None, ALIKE), 7), None).mean["dice"]
    assert over_patients.mean == over_images.mean
    assert over_patients.high - over_patients.low > 2 * (over_images.high - over_images.low)


def test_dice_on_lesions_is_over_the_patients_that_have_one() -> None:
    areas = [9.0] * 60 + [0.0] * 10  # the last ten images are those of two patients
    found = quality(in_blocks(measured("baseline", None, ALIKE, areas), 5), None).mean
    assert (found["dice"].patients, found["dice_lesion"].patients) == (14, 12)
    assert (found["dice"].images, found["dice_lesion"].images) == (70, 60)


def test_dice_a_patient_has_an_interval_over_patients_of_its_own() -> None:
    (full,) = of_patients([measured("baseline", None, ALIKE)], 14)
    interval = quality(full, None).mean["dice_patient"]
    assert interval.mean == pytest.approx(np.mean(list(full.per_group.values())))
    assert interval.patients == interval.images == 14


def test_without_patients_there_is_no_dice_of_them() -> None:
    assert "dice_patient" not in quality(measured("baseline", None, ALIKE), None).mean
