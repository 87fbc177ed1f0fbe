"""The layout of a data set, and new folders."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset.errors import DatasetError
from torch_lowrank.whole_files import whole_folder

SPLITS = ("train", "valid", "test")
ANNOTATION_FILE = "_annotations.coco.json"


def usable_cores() -> int:
    """Counts the CPU cores this process may use (fewer than the machine's, under taskset or in a container)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


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
