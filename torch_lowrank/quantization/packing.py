"""Whole numbers of a few bits as bytes without gaps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def packed_size(count: int, bits: int) -> int:
    """Returns how many bytes `pack` makes of that many numbers."""
    return math.ceil(count * bits / 8)


def pack(numbers: NDArray[np.uint8], bits: int) -> bytes:
    """Returns numbers below 2**bits as bytes: each number's bits, the lowest first, follow those of the one before.

    Args:
        numbers: Any shape, read in C order.
        bits: From 1 to 8.
    """
    each = np.unpackbits(numbers.reshape(-1, 1), axis=1, count=bits, bitorder="little")
    return np.packbits(each.reshape(-1), bitorder="little").tobytes()


def unpack(content: bytes, count: int, bits: int) -> NDArray[np.uint8]:
    """Returns the numbers, (count,), that `pack` made bytes of.

    Raises:
        ValueError: There are more or fewer bytes than that many numbers take.
    """
    if len(content) != packed_size(count, bits):
        raise ValueError(f"{count} numbers of {bits} bits take {packed_size(count, bits)} bytes, not {len(content)}")
    each = np.unpackbits(np.frombuffer(content, np.uint8), count=count * bits, bitorder="little")
    return np.packbits(each.reshape(count, bits), axis=1, bitorder="little").reshape(count)
