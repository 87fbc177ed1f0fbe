"""Numbers in someone else's JSON: what is a whole number, a number, a finite number."""

import math
from typing import TypeGuard

_LARGEST_EXACT = 2**53  # beyond it a float cannot hold every whole number
_LARGEST_ID = 2**63  # what databases and other languages can hold


def whole_number(raw: object) -> int | None:
    """Returns a value as a whole number; 3.0 counts as 3, because some tools write ids so.

    Args:
        raw: The value as read from JSON.

    Returns:
        The number; None for anything else, true and false included, and for numbers beyond 64 bit.
    """
    if isinstance(raw, float) and raw.is_integer() and abs(raw) <= _LARGEST_EXACT:
        return int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool) and -_LARGEST_ID <= raw < _LARGEST_ID:
        return raw
    return None


def is_number(raw: object) -> TypeGuard[int | float]:
    """Returns whether a value is a number that a float can hold, NaN and infinity included."""
    if isinstance(raw, float):
        return True
    return isinstance(raw, int) and not isinstance(raw, bool) and raw.bit_length() < 1024


def is_finite(raw: object) -> bool:
    """Returns whether a value is a finite number."""
    return is_number(raw) and math.isfinite(raw)
