"""Intervals of means over images."""

import math

import numpy as np
import pytest

from analysis.intervals import MIN_IMAGES, mean_interval, paired_interval


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
    worse = [-0.1] * (MIN_IMAGES - 1)
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
