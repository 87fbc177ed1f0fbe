import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torch_lowrank.quantization.packing import pack, packed_size, unpack


@given(st.integers(1, 8), st.integers(0, 60), st.integers(0, 2**31))
def test_unpacking_gives_what_was_packed_in_no_more_bytes_than_the_bits_take(bits, count, seed):
    numbers = np.random.default_rng(seed).integers(0, 2**bits, count, dtype=np.uint8)
    content = pack(numbers, bits)
    assert len(content) == packed_size(count, bits) == math.ceil(count * bits / 8)
    assert np.array_equal(unpack(content, count, bits), numbers)


def test_the_lowest_bit_of_the_first_number_comes_first():
    assert pack(np.array([0b001, 0b110, 0b011], np.uint8), 3) == bytes([0b11110001, 0b0])


@pytest.mark.parametrize("size", [0, 2, 4])
def test_another_number_of_bytes_is_refused(size):
    with pytest.raises(ValueError, match=f"5 numbers of 4 bits take 3 bytes, not {size}"):
        unpack(bytes(size), 5, 4)
