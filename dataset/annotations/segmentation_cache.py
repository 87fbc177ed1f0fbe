"""Keeps checked segmentations in a temporary file until they are drawn: annotation files hold little else."""

import json
import tempfile
import threading

from dataset.annotations.segmentation import Segmentation

_LENGTH_BYTES = 8


class Spool:
    """Segmentations on disk, each known by the place that adding it gave; the file goes when nobody knows it more."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="outlines-")  # noqa: SIM115 - lives as long as this object
        self._lock = threading.Lock()
        self._end = 0

    def __del__(self) -> None:
        self._file.close()

    def add(self, segmentation: Segmentation) -> int:
        """Writes a segmentation, exactly: JSON's numbers are read as the floats they were.

        Returns:
            Its place.
        """
        data = json.dumps(segmentation, separators=(",", ":")).encode("ascii")
        with self._lock:
            place = self._end
            self._file.seek(place)
            self._file.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
            self._end += _LENGTH_BYTES + len(data)
        return place

    def read(self, place: int) -> Segmentation:
        """Reads the segmentation at a place; any thread may."""
        with self._lock:
            self._file.seek(place)
            length = int.from_bytes(self._file.read(_LENGTH_BYTES), "big")
            data = self._file.read(length)
        return json.loads(data)
