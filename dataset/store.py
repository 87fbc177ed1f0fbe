"""A stored data set: memory-mapped arrays for each split, and a manifest."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from dataset.errors import DatasetError
from dataset.layout import SPLITS
from dataset.manifest import MANIFEST_FILE, Manifest
from torch_lowrank.whole_files import whole_folder

# What NumPy raises at a damaged header, which it parses as Python source.
_DAMAGE = (OSError, ValueError, EOFError, OverflowError, SyntaxError, TokenError)


class Split:
    """The images and masks of one split; rows are read from disk when they are accessed.

    Attributes:
        images: uint8 (N, H, W, C), read-only memory map.
        masks: uint8 (N, H, W), read-only memory map; class indices, 0 for background.
        file_names: File name of each row.
        image_ids: COCO image id of each row.
        groups: The patient or volume that each row is of; empty where that is not known of all.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    file_names: list[str]
    image_ids: list[int | str]
    groups: list[str]

    def __init__(self, folder: Path, name: str, manifest: Manifest) -> None:
        summary = manifest.splits[name]
        rows = (summary.images, *manifest.image_size)
        self._origin = (folder, name, manifest)
        self.images = _map_array(images_file(folder, name), (*rows, manifest.channels))
        self.masks = _map_array(masks_file(folder, name), rows)
        self.file_names = [sample.file_name for sample in summary.samples]
        self.image_ids = [sample.image_id for sample in summary.samples]
        known = [sample.group for sample in summary.samples if sample.group is not None]
        self.groups = known if len(known) == len(summary.samples) else []

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, number: int, seed: int) -> NDArray[np.intp]:
        """Draws at most `number` different rows at random; returns their indices in increasing order."""
        return np.sort(np.random.default_rng(seed).choice(len(self), min(number, len(self)), replace=False))

    def __reduce__(self) -> tuple[Callable[..., "Split"], tuple[Path, str, Manifest]]:
        """Pickles the location, not the pixels, for worker processes."""
        return Split, self._origin


class Dataset:
    """A stored data set: `dataset["train"]` is a split.

    Attributes:
        folder: The folder it is stored in.
        manifest: Its description.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = Path(folder).absolute()
        self.manifest = manifest
        missing = [name for name in SPLITS if name not in manifest.splits]
        if missing:
            raise DatasetError(f"{folder / MANIFEST_FILE} lacks the split {', '.join(missing)}: ingest again")
        self._splits = {name: Split(self.folder, name, manifest) for name in SPLITS}

    @classmethod
    def open(cls, folder: Path) -> "Dataset":
        """Opens a folder that `dataset.ingest` has written.

        Args:
            folder: The folder.

        Returns:
            The data set, its arrays mapped and their shapes checked against the manifest.

        Raises:
            DatasetError: Something is missing, damaged, or of another version.
        """
        folder = Path(folder)
        return cls(folder, Manifest.load(folder))

    def __getitem__(self, split: str) -> Split:
        if split not in self._splits:
            raise KeyError(f"there is no split {split!r}: choose from {', '.join(SPLITS)}")
        return self._splits[split]

    @property
    def classes(self) -> int:
        """Output channels a network needs: 1 (a logit) for binary masks, background and K categories otherwise."""
        return len(self.manifest.classes) if self.manifest.multi_class else 1

    def content_digest(self) -> str:
        """Digests manifest and arrays.

        Returns:
            SHA-256 as 64 hexadecimal digits; equal for equal content, wherever it is stored.
        """
        total = hashlib.sha256()
        arrays = [file(self.folder, name) for name in SPLITS for file in (images_file, masks_file)]
        for path in (self.folder / MANIFEST_FILE, *arrays):
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        return total.hexdigest()


def images_file(folder: Path, split: str) -> Path:
    """Returns the file that holds a split's images."""
    return folder / f"{split}_images.npy"


def masks_file(folder: Path, split: str) -> Path:
    """Returns the file that holds a split's masks."""
    return folder / f"{split}_masks.npy"


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yields a folder to fill, which becomes `folder` when the block ends without an error; see `whole_folder`.

    Raises:
        DatasetError: `folder` exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder} exists already and is not an empty folder: remove it or choose another")
    with whole_folder(folder) as partial:
        yield partial


class RowWriter:
    """Writes a uint8 .npy file row by row; the number of rows is not known before it is closed.

    NumPy's header reserves space for a larger first axis, so that closing can overwrite it.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...]) -> None:
        self._row_shape = row_shape
        self._rows = 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, row: NDArray[np.uint8]) -> None:
        """Writes one row of the shape given at the start.

        Args:
            row: uint8.

        Raises:
            ValueError: The row has another shape or type.
        """
        if row.shape != self._row_shape or row.dtype != np.uint8:
            raise ValueError(f"the row is {row.dtype} {row.shape}, the file holds uint8 {self._row_shape}")
        self._file.write(np.ascontiguousarray(row).data)
        self._rows += 1

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(self, *_: object) -> None:
        """Writes the number of rows into the header, and closes."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self._rows, *self._row_shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


def _map_array(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGE as error:
        raise DatasetError(f"{path} is missing or damaged ({error}): ingest the data set again") from error
    if array.shape != shape or array.dtype != np.uint8:
        raise DatasetError(
            f"{path} holds {array.dtype} {array.shape}, its manifest says uint8 {shape}: ingest the data set again"
        )
    return array
