"""The predicted masks of a whole split, run-length coded: a few hundred bytes an image, read one by one from disk.

The code is COCO's compressed run-length code, by pycocotools: the lengths of runs of background and label in turn,
column by column, as signs that JSON holds as they are. An image has one code for each label but the background.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

_RUNS, _ENDS, _SIZE = "runs.npy", "ends.npy", "size.npy"


@dataclasses.dataclass(frozen=True)
class CodedMasks:
    """Labels of images of one size.

    Attributes:
        size: Height and width.
        runs: uint8 (B,), the codes of all images and labels, one after the other; may lie on disk, memory-mapped.
        ends: int64 (N, L), where the code of each image and label ends in `runs`; labels 1 to L.
    """

    size: tuple[int, int]
    runs: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def labels(self) -> int:
        """Number of labels, without the background."""
        return self.ends.shape[1]

    def codes(self, row: int) -> list[str]:
        """Returns the code of each label of an image, from label 1 on.

        Raises:
            IndexError: There is no such image.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"there is no image {row}: masks of {len(self)} images are known")
        first = 0 if row == 0 else int(self.ends[row - 1, -1])
        starts = [first, *self.ends[row, :-1].tolist()]
        return [
            bytes(self.runs[start:end]).decode("ascii")
            for start, end in zip(starts, self.ends[row].tolist(), strict=True)
        ]

    def decoded(self, row: int) -> NDArray[np.uint8]:
        """Returns the labels uint8 (H, W) of an image."""
        labels = np.zeros(self.size, np.uint8)
        for label, code in enumerate(self.codes(row), 1):
            labels[coco.decode({"size": list(self.size), "counts": code.encode()}).astype(bool)] = label
        return labels

    def digest(self) -> str:
        """Returns SHA-256 over all masks, as hexadecimal digits."""
        content = hashlib.sha256(repr((self.size, self.ends.shape)).encode())
        content.update(np.ascontiguousarray(self.ends).data)
        content.update(np.ascontiguousarray(self.runs).data)
        return content.hexdigest()

    def save(self, folder: Path) -> None:
        """Writes them into a folder."""
        for name, array in ((_RUNS, self.runs), (_ENDS, self.ends), (_SIZE, np.array(self.size))):
            np.save(folder / name, array, allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> CodedMasks:
        """Opens what `save` wrote; single masks are read when they are asked for."""
        runs, ends = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (_RUNS, _ENDS))
        height, width = np.load(folder / _SIZE, allow_pickle=False).tolist()
        return cls((height, width), runs, ends)


class MaskCoder:
    """Codes masks batch by batch, so that memory holds the code alone.

    Args:
        labels: Number of labels, without the background.
    """

    def __init__(self, labels: int) -> None:
        self._labels = labels
        self._runs = bytearray()
        self._ends: list[list[int]] = []
        self._size = (0, 0)

    def add(self, masks: NDArray[np.uint8]) -> None:
        """Codes the next images.

        Args:
            masks: Labels uint8 (n, H, W), of the same size in every batch.

        Raises:
            ValueError: A mask has another size than those before.
        """
        if self._ends and masks.shape[1:] != self._size:
            raise ValueError(f"masks of {masks.shape[1:]} follow masks of {self._size}; all must have one size")
        self._size = (int(masks.shape[1]), int(masks.shape[2]))
        for mask in masks:
            ends = []
            for label in range(1, self._labels + 1):
                self._runs += encoded(mask == label)
                ends.append(len(self._runs))
            self._ends.append(ends)

    def finish(self) -> CodedMasks:
        """Returns the masks of all batches."""
        ends = np.array(self._ends, np.int64).reshape(len(self._ends), self._labels)
        return CodedMasks(self._size, np.frombuffer(bytes(self._runs), np.uint8), ends)


def encoded(area: NDArray[np.bool_]) -> bytes:
    """Returns COCO's compressed run-length code of an area (H, W)."""
    code: bytes = coco.encode(np.asfortranarray(area, dtype=np.uint8))["counts"]
    return code
