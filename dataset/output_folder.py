"""Folders that a data set is written into."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset.errors import DatasetError
from torch_lowrank.whole_files import whole_folder


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
