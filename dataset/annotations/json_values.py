"""What a value from someone else's JSON is worth: whole numbers, numbers, texts, and how to show one in a message."""

import math
import unicodedata
from typing import TypeGuard

_LARGEST_EXACT = 2**53  # beyond it a float no longer tells neighbouring whole numbers apart
_LARGEST_ID = 2**63  # what databases and other languages can hold
_SHOWN = 120


def whole(raw: object) -> int | None:
    """Reads a whole number; JSON does not tell 3.0 from 3, and some tools write ids so.

    Args:
        raw: The value as read from JSON.

    Returns:
        The number; None for what is none, true and false included, and for numbers beyond 64 bit.
    """
    if isinstance(raw, float) and raw.is_integer() and abs(raw) <= _LARGEST_EXACT:
        return int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool) and -_LARGEST_ID <= raw < _LARGEST_ID:
        return raw
    return None


def is_number(raw: object) -> TypeGuard[int | float]:
    """Tells whether a value is a number that a float can hold; NaN and infinity are (`math.isfinite` tells)."""
    if isinstance(raw, float):
        return True
    return isinstance(raw, int) and not isinstance(raw, bool) and raw.bit_length() < 1024


def is_finite(raw: object) -> bool:
    """Tells whether a value is a finite number."""
    return is_number(raw) and math.isfinite(raw)


def is_clean(text: str) -> bool:
    """Tells whether a text is free of control characters (new lines too) and of halves of surrogate pairs."""
    if text.isascii() and text.isprintable():
        return True
    return not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text)


def cleaned(text: str) -> str:
    r"""Writes out (as in \n or \ud800) what is not clean."""
    return "".join(sign if is_clean(sign) else repr(sign)[1:-1] for sign in text)


def shortened(text: str) -> str:
    """Cuts the middle out of a text of more than 120 characters."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 33]}...{text[-30:]}"


def quoted(raw: object, length: int = 40) -> str:
    """Shows a value in a message: `length` characters at most, never the inside of a list, which may be deep."""
    if isinstance(raw, (list, dict)):
        return "a list" if isinstance(raw, list) else "an object"
    if isinstance(raw, str):
        return repr(raw) if len(raw) <= length else f"{raw[:length]!r}..."
    return f"{raw!r:.{length}}"
