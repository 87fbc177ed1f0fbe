"""The choices of how images are read and divided."""

import re
from collections.abc import Sequence
from typing import Literal

Interpolation = Literal["area", "linear", "cubic", "nearest"]
Exif = Literal["apply", "ignore"]
Format = Literal["auto", "coco", "masks", "volumes"]
Shares = tuple[float, float, float]

_ROUNDING = 1e-3  # of shares that people write with three digits


def check_shares(shares: Sequence[float]) -> None:
    """Checks the shares of training, validation and test images.

    Raises:
        ValueError: They are not three, one is negative, or they do not sum to 1 within rounding.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > _ROUNDING:
        raise ValueError("give the shares of train, valid and test, which sum to 1, as 0.7,0.15,0.15")


def check_pattern(pattern: str) -> None:
    """Checks a regular expression.

    Raises:
        ValueError: It is none, or matches every text without naming anything.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"this is no regular expression ({error}); for example patient_[0-9]+") from error
    if compiled.match("") and not compiled.groups:
        raise ValueError("this matches an empty text, which names no patient; for example patient_[0-9]+")
