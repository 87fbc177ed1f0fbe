"""An image with its mask on it."""

import numpy as np
import pytest

from reporting.label_colors import LABEL_COLORS, label_color
from reporting.overlay import overlay

ORANGE, BLUE = (0xE6, 0x9F, 0x00), (0x00, 0x72, 0xB2)


def square(side: int = 40) -> np.ndarray:
    labels = np.zeros((side, side), np.uint8)
    labels[10:20, 10:20] = 1
    return labels


@pytest.mark.parametrize("channels", [1, 3])
def test_outside_of_the_mask_the_image_is_untouched(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, channels), dtype=np.uint8)
    before = image.copy()
    shown = overlay(image, square())
    assert (shown.shape, shown.dtype) == ((40, 40, 3), np.uint8)
    outside = square() == 0
    np.testing.assert_array_equal(shown[outside], np.broadcast_to(image, (40, 40, 3))[outside])
    np.testing.assert_array_equal(image, before)


def test_a_label_is_outlined_in_its_colour_and_the_image_shows_through_it() -> None:
    image = np.full((40, 40, 1), 100, np.uint8)
    shown = overlay(image, square())
    assert {tuple(pixel) for pixel in shown[10, 10:20]} == {ORANGE}
    filled = tuple(round(0.7 * 100 + 0.3 * part) for part in ORANGE)
    assert {tuple(pixel) for pixel in shown[11:19, 11:19].reshape(-1, 3)} == {filled}


def test_labels_that_touch_are_told_apart() -> None:
    labels = square()
    labels[10:20, 20:30] = 2
    shown = overlay(np.zeros((40, 40, 1), np.uint8), labels)
    assert tuple(shown[15, 19]) == ORANGE
    assert tuple(shown[15, 20]) == BLUE


def test_outlines_of_large_images_are_wider() -> None:
    labels = np.zeros((1600, 1600), np.uint8)
    labels[100:200, 100:200] = 1
    shown = overlay(np.zeros((1600, 1600, 1), np.uint8), labels)
    assert [tuple(shown[row, 150]) == ORANGE for row in range(100, 105)] == [True, True, True, False, False]


def test_at_the_border_of_the_image_nothing_is_outlined() -> None:
    shown = overlay(np.zeros((20, 20, 1), np.uint8), np.ones((20, 20), np.uint8))
    assert len({tuple(pixel) for pixel in shown.reshape(-1, 3)}) == 1


def test_there_is_a_colour_for_every_label() -> None:
    assert label_color(1) == LABEL_COLORS[0]
    assert label_color(8) == LABEL_COLORS[0]
    assert len({label_color(label) for label in range(1, 8)}) == 7
