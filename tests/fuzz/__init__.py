"""Feeds random damage to the reader of data sets: `python -m tests.fuzz --minutes 10 --folders 10000 --seed 0`."""

import os

# As the command line does; here, because it must be set before OpenCV is imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**26))
