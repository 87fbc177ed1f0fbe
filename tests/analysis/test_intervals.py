"""Intervals of means over images, and over patients."""

import math

import numpy as np
import pytest

from analysis.intervals import MIN_UNITS, SHARE, Interval, mean_interval, paired_interval


def slow_interval(values: np.ndarray, resamples: int) -> tuple[float, float]:
    """The percentile bootstrap, one resample at a time."""
    rng = np.random.default_rng(1)
    means = sorted(
        float(np.mean([values[i] for i in rng.integers(len(values), size=len(values))])) for _ in range(resamples)
    )
    return means[int(0.025 * resamples)], means[int(0.975 * resamples)]


def test_the_interval_agrees_with_a_slow_reference() -> None:
    values = np.random.default_rng(0).beta(4, 1.5, 80)
    interval = mean_interval(values.tolist())
    low, high = slow_interval(values, 4000)
    assert interval.mean == pytest.approx(values.mean())
    # two bootstraps of 4,000 and 9,999 resamples differ by 0.0005 here
    assert (interval.low, interval.high) == (pytest.approx(low, abs=2e-3), pytest.approx(high, abs=2e-3))


@pytest.mark.parametrize("values_at_once", [1, 7 * 12, 2**30])
def test_an_interval_is_of_9999_resamples_however_many_are_drawn_at_once(
    values_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).uniform(0, 1, 12)
    drawn = np.random.default_rng(3).integers(12, size=(9999, 12))
    means = np.sort(values[drawn].mean(axis=1))
    # of 0 to 9,998, a share of 0.025 lies at 249.95, and one of 0.975 at 9,748.05
    ends = means[249] + 0.95 * (means[250] - means[249]), means[9748] + 0.05 * (means[9749] - means[9748])
    monkeypatch.setattr("analysis.intervals._VALUES_AT_ONCE", values_at_once)
    interval = mean_interval(values.tolist(), seed=3)
    assert (interval.low, interval.high) == pytest.approx(ends, rel=1e-12)


def test_the_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.normal(1, 2, 60).tolist()) for _ in range(100)]
    assert 88 <= sum(each.low <= 1 <= each.high for each in intervals) <= 100


def test_a_method_against_itself_differs_by_nothing() -> None:
    values = [0.1, 0.9, 0.5] * 4
    interval = paired_interval(values, values)
    assert (interval.mean, interval.low, interval.high, interval.excludes_zero) == (0, 0, 0, False)


def test_pairing_sees_a_small_difference_between_images_that_differ_much() -> None:
    rng = np.random.default_rng(0)
    easy = rng.uniform(0, 1, 200)
    harder = easy - rng.normal(0.01, 0.02, 200)
    assert paired_interval(easy.tolist(), harder.tolist()).excludes_zero
    wide = mean_interval(easy.tolist())
    assert wide.high - wide.low > 0.05


def test_equal_values_have_no_spread() -> None:
    interval = mean_interval([0.5] * 10)
    assert (interval.mean, interval.low, interval.high, interval.images) == (0.5, 0.5, 0.5, 10)


def test_of_few_images_nothing_is_concluded() -> None:
    worse = [-0.1] * (MIN_UNITS - 1)
    few = mean_interval(worse)
    assert few.too_few
    assert not few.excludes_zero
    assert (few.mean, math.isnan(few.low), math.isnan(few.high)) == (pytest.approx(-0.1), True, True)
    assert not mean_interval([*worse, -0.1]).too_few
    assert mean_interval([*worse, -0.1]).excludes_zero


@pytest.mark.parametrize("values", [[], [0.1, float("nan")]])
def test_values_that_have_no_mean_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval(values)


def test_images_must_match() -> None:
    with pytest.raises(ValueError, match="paired"):
        paired_interval([0.1], [0.1, 0.2])


def slices(rng: np.random.Generator, patients: int) -> tuple[list[float], list[str]]:
    """Dice of 5 to 40 slices a patient, which are alike, and the patient of each."""
    numbers = rng.integers(5, 41, patients)
    of_slice = np.repeat(np.arange(patients), numbers)
    logits = 1.5 + rng.normal(0, 1, patients)[of_slice] + rng.normal(0, 0.7, len(of_slice))
    return (1 / (1 + np.exp(-logits))).tolist(), [f"p{patient}" for patient in of_slice]


def covered(patients: int, draws: int = 200) -> tuple[int, int]:
    """How many intervals over patients, and how many over images, hold the true mean."""
    truth, rng = float(np.mean(slices(np.random.default_rng(0), 100_000)[0])), np.random.default_rng(patients)
    found = []
    for _ in range(draws):
        values, of_patient = slices(rng, patients)
        intervals = (mean_interval(values, of_patient, SHARE), mean_interval(values))
        found.append([each.low <= truth <= each.high for each in intervals])
    over_patients, over_images = np.sum(found, axis=0)
    return int(over_patients), int(over_images)


@pytest.mark.parametrize("patients", [12, 40])
def test_over_patients_the_interval_covers_the_truth_and_over_images_it_does_not(
    patients: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """190 of 200 are expected, with a standard deviation of 3; over images it is less than half of them."""
    monkeypatch.setattr("analysis.intervals._RESAMPLES", 999)
    over_patients, over_images = covered(patients)
    assert 181 <= over_patients <= 199
    assert over_images <= 120


def test_the_order_of_images_says_nothing() -> None:
    values, patients = slices(np.random.default_rng(0), 20)
    interval = mean_interval(values, patients)
    order = np.random.default_rng(1).permutation(len(values))
    again = mean_interval([values[row] for row in order], [patients[row] for row in order])
    assert (again.low, again.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def slow_ends(values: list[float], patients: list[str], resamples: int) -> tuple[float, float]:
    """Both ends by the formula, one resample at a time."""
    by_patient = {name: [v for v, p in zip(values, patients, strict=True) if p == name] for name in set(patients)}
    names, groups = sorted(by_patient), len(by_patient)

    def studentised(drawn: list[str]) -> tuple[float, float]:
        mean = float(np.mean([value for name in drawn for value in by_patient[name]]))
        residuals = [sum(by_patient[name]) - mean * len(by_patient[name]) for name in drawn]
        size = sum(len(by_patient[name]) for name in drawn)
        return mean, math.sqrt(groups / (groups - 1) * sum(each**2 for each in residuals)) / size

    mean, error = studentised(names)
    rng, found = np.random.default_rng(1), []
    for _ in range(resamples):
        other, its_error = studentised([names[place] for place in rng.integers(groups, size=groups)])
        found.append((other - mean) / its_error)
    low, high = np.quantile(found, [0.025, 0.975])
    student = 2.093024  # of 19 degrees of freedom, from a table
    return mean - max(high, student) * error, mean + max(-low, student) * error


def test_the_interval_over_patients_agrees_with_a_slow_reference() -> None:
    values, patients = slices(np.random.default_rng(5), 20)
    interval = mean_interval(values, patients)
    # two bootstraps of 2,000 and 9,999 resamples: their quantiles differ by some percent of the width
    assert (interval.low, interval.high) == pytest.approx(slow_ends(values, patients, 2000), abs=0.006)
    assert interval.high - interval.low > 0.1


def test_patients_of_one_image_each_are_nearly_the_same_as_images() -> None:
    values = np.random.default_rng(0).normal(0, 1, 200).tolist()
    over_images, over_patients = mean_interval(values), mean_interval(values, [str(row) for row in range(200)])
    assert (over_patients.low, over_patients.high) == pytest.approx((over_images.low, over_images.high), abs=0.01)


def test_of_few_patients_nothing_is_concluded_however_many_images_they_have() -> None:
    few = mean_interval([-0.1, -0.2] * 45, [f"p{row % (MIN_UNITS - 1)}" for row in range(90)])
    assert (few.too_few, few.images, few.patients, few.over) == (True, 90, 9, "9 patients")
    assert not few.excludes_zero
    enough = mean_interval([-0.1, -0.2] * 45, [f"p{row % MIN_UNITS}" for row in range(90)])
    assert not enough.too_few
    assert enough.excludes_zero


def test_patients_with_the_same_mean_have_no_spread() -> None:
    interval = mean_interval([0.2, 0.4] * 12, [f"p{row // 2}" for row in range(24)])
    assert (interval.low, interval.high) == pytest.approx((0.3, 0.3))


def test_where_one_patient_alone_changes_the_interval_holds_zero() -> None:
    changes, patients = [0.0] * 95 + [-0.2] * 5, [f"p{row // 5}" for row in range(100)]
    interval = paired_interval(changes, [0.0] * 100, patients)
    assert interval.low < interval.mean < 0 <= interval.high


def test_no_end_lies_where_no_mean_can() -> None:
    values, patients = [1.0] * 90 + [0.1] * 10, [f"p{row // 10}" for row in range(100)]
    assert mean_interval(values, patients).high > 1
    assert mean_interval(values, patients, SHARE).high == 1


@pytest.mark.parametrize(
    ("interval", "over"),
    [
        (Interval(0, 0, 0, 1), "1 image"),
        (Interval(0, 0, 0, 40), "40 images"),
        (Interval(0, 0, 0, 40, 1), "1 patient"),
        (Interval(0, 0, 0, 40, 12), "12 patients"),
    ],
)
def test_an_interval_says_what_it_is_over(interval: Interval, over: str) -> None:
    assert interval.over == over


def test_every_value_needs_a_patient() -> None:
    with pytest.raises(ValueError, match="3 values are of 2 patients"):
        mean_interval([0.1, 0.2, 0.3], ["a", "b"])
