"""Numbers of predicted masks, by hand."""

import numpy as np
import pytest

from analysis.mask_numbers import MaskNumbers, mask_numbers

AREA = np.array(
    [
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],  # touches the first at a corner
        [0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1],
    ],
    bool,
)


def test_area_share_components_and_mean_probability() -> None:
    probability = np.where(AREA, 0.75, 0.25).astype(np.float32)
    probability[0, 0] = 1.0
    assert mask_numbers(AREA, probability) == MaskNumbers(5, 0.25, 2, pytest.approx(0.8))


def test_nothing_found_has_no_mean_probability() -> None:
    assert mask_numbers(np.zeros((3, 4), bool), np.ones((3, 4), np.float32)) == MaskNumbers(0, 0.0, 0, None)


def test_everything_found_is_one_component() -> None:
    assert mask_numbers(np.ones((3, 4), bool), np.ones((3, 4), np.float32)) == MaskNumbers(12, 1.0, 1, 1.0)
