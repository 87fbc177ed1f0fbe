"""How OpenCV behaves while many files are decoded."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def plain_opencv() -> Iterator[None]:
    """Keeps OpenCV from printing about damaged files, which we report, and from starting threads within our threads."""
    level, threads = cv2.utils.logging.getLogLevel(), cv2.getNumThreads()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
        cv2.setNumThreads(threads)
