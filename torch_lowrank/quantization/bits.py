"""In how many bits weights can be stored."""

BITS = (2, 3, 4, 5, 6, 7, 8)  # of whole numbers
HALF = 16  # bits of IEEE half precision, which has no scale
