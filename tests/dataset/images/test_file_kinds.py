"""What is stored of a picture does not depend on the kind of file it came in."""

import cv2
import numpy as np
import pytest
from skimage import data

from dataset.images.decode import DecodeRequest, decode_image
from dataset.images.resize import resize_image
from dataset.options import Interpolation

GRAY = ("camera", "coins", "moon")
COLOUR = ("astronaut", "coffee", "cat")
SIDE = 256


def photograph(name: str, side: int = SIDE) -> np.ndarray:
    """The middle of one of scikit-image's, as OpenCV has it."""
    picture = getattr(data, name)()
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    middle = np.ascontiguousarray(picture[top : top + side, left : left + side])
    return middle if middle.ndim == 2 else cv2.cvtColor(middle, cv2.COLOR_RGB2BGR)


def stored(
    picture: np.ndarray, kind: str, target: tuple[int, int], channels: int, interpolation: Interpolation = "area"
) -> np.ndarray:
    """What the data set would hold of it."""
    encoded = cv2.imencode(kind, picture, [cv2.IMWRITE_JPEG_QUALITY, 90] if kind == ".jpg" else [])[1].tobytes()
    average_to = target if interpolation == "area" else None
    decoded = decode_image(encoded, DecodeRequest(*picture.shape[:2], channels, average_to))
    return resize_image(decoded.pixels, *target, interpolation).astype(int)


@pytest.mark.parametrize("target", [(128, 128), (64, 64), (32, 32), (100, 100), (51, 51), (64, 32), (256, 256)])
@pytest.mark.parametrize("name", [*GRAY, *COLOUR])
def test_jpeg_and_png_of_a_photograph_are_stored_alike(name: str, target: tuple[int, int]) -> None:
    picture = photograph(name)
    jpeg, png = (stored(picture, kind, target, channels=1) for kind in (".jpg", ".png"))
    # Half a pixel's step and more, where nothing is averaged, is what the JPEG itself has lost.
    lost = np.abs(stored(picture, ".jpg", (SIDE, SIDE), 1) - stored(picture, ".png", (SIDE, SIDE), 1)).mean()
    assert np.abs(jpeg - png).mean() < (0.7 if target != (SIDE, SIDE) else lost + 1e-9)
