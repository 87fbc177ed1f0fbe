"""Keeps checked segmentations in a temporary file until they are drawn: annotation files hold little else."""

import json
import tempfile
import threading

from dataset.annotations.segmentation import Segmentation

_LENGTH_BYTES = 8


class SegmentationCache:
    """Segmentations in a temporary file, each read by the offset that `add` returned; deleted with this object."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="outlines-")  # noqa: SIM115 - lives as long as this object
        self._lock = threading.Lock()
        self._end = 0

    def __del__(self) -> None:
        self._file.close()

    def add(self, segmentation: Segmentation) -> int:
        """Writes a segmentation, exactly: JSON's numbers are read as the floats they were.

        Returns:
            Its offset in the file.
        """
        data = json.dumps(segmentation, separators=(",", ":")).encode("ascii")
        with self._lock:
            offset = self._end
            self._file.seek(offset)
            self._file.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
            self._end += _LENGTH_BYTES + len(data)
        return offset

    def read(self, offset: int) -> Segmentation:
        """Reads the segmentation at an offset; safe to call from several threads."""
        with self._lock:
            self._file.seek(offset)
            length = int.from_bytes(self._file.read(_LENGTH_BYTES), "big")
            data = self._file.read(length)
        return json.loads(data)
