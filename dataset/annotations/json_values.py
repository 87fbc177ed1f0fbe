"""Values in someone else's JSON: what is an id, a whole number, a number, a finite number."""

import math
from typing import TypeAlias, TypeGuard

from dataset.message_text import is_clean

Identifier: TypeAlias = int | str

_LARGEST_EXACT = 2**53  # beyond it a float cannot hold every whole number
_LARGEST_ID = 2**63  # what databases and other languages can hold
_LONGEST_ID = 100  # characters; a UUID has 36


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


def identifier(raw: object) -> Identifier | None:
    """Returns a value as an id: a whole number, or a short text, such as a UUID.

    Args:
        raw: The value as read from JSON.

    Returns:
        A number, also for a text that is how the number is written ("7", but not "07"), so that both match; a text;
        None for anything else.
    """
    if not isinstance(raw, str):
        return whole_number(raw)
    number = written_number(raw)
    if number is not None:
        return number
    return raw if raw.strip() and len(raw) <= _LONGEST_ID and is_clean(raw) else None


def written_number(raw: object) -> int | None:
    """Returns a whole number, also where it stands as a text; None for anything else."""
    if not isinstance(raw, str):
        return whole_number(raw)
    digits = raw.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(_LARGEST_ID))):
        return None
    return whole_number(int(raw)) if str(int(raw)) == raw else None


def is_number(raw: object) -> TypeGuard[int | float]:
    """Returns whether a value is a number that a float can hold, NaN and infinity included."""
    if isinstance(raw, float):
        return True
    return isinstance(raw, int) and not isinstance(raw, bool) and raw.bit_length() < 1024


def is_finite(raw: object) -> bool:
    """Returns whether a value is a finite number."""
    return is_number(raw) and math.isfinite(raw)
