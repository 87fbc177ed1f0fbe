"""The choices of how images are read."""

from typing import Literal

Interpolation = Literal["area", "linear", "cubic", "nearest"]
Exif = Literal["apply", "ignore"]
