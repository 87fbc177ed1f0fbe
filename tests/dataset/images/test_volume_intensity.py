"""Intensities of a volume, scaled together."""

import numpy as np
import pytest

from dataset.images.decode import ImageError
from dataset.images.volume_intensity import scale_together


def test_slices_keep_their_order_of_brightness():
    rng = np.random.default_rng(0)
    dark, bright = (rng.normal(mean, 10, (32, 32)) for mean in (100, 300))
    scaled = scale_together([dark, bright])
    assert scaled[0].mean() < 90
    assert scaled[1].mean() > 165


def test_percentiles_become_0_and_255_and_the_rest_is_clipped():
    values = np.arange(1001, dtype=np.int16)
    (scaled,) = scale_together([values])
    low, high = 5, 995  # the 0.5th and 99.5th percentile of 0 to 1000
    expected = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255)
    np.testing.assert_array_equal(scaled, expected)


def test_one_bright_voxel_changes_no_other():
    values = np.random.default_rng(0).normal(100, 10, (16, 16, 16))
    (before,) = scale_together([values])
    values[3, 3, 3] = 1e6
    (after,) = scale_together([values])
    assert np.abs(np.delete(after, 3, axis=2).astype(int) - np.delete(before, 3, axis=2)).max() <= 1


def test_a_volume_that_is_nearly_all_background_is_scaled_by_its_range():
    values = np.zeros((100, 100), np.float32)
    values[3, 3] = 9
    (scaled,) = scale_together([values])
    assert scaled[3, 3] == 255
    assert np.count_nonzero(scaled) == 1


def test_a_constant_volume_is_black():
    assert not scale_together([np.full((4, 4), 7)])[0].any()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(wrong):
    with pytest.raises(ImageError, match="not finite"):
        scale_together([np.array([1.0, wrong])])
