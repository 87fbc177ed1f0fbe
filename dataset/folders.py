"""The layout of a data set, and folders that appear whole or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset.errors import DatasetError

SPLITS = ("train", "valid", "test")
ANNOTATION_FILE = "_annotations.coco.json"


def usable_cores() -> int:
    """Counts the CPU cores this process may use (fewer than the machine's, under taskset or in a container)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Gives a temporary sibling to fill, and renames it to `folder` when the block ends without an error.

    Args:
        folder: Where the result shall lie; absent or empty. Its parents are made.

    Yields:
        The temporary folder; removed when the block raises.

    Raises:
        DatasetError: `folder` exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder} exists already and is not an empty folder: remove it or choose another")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:12]}.partial"
    partial.mkdir()
    try:
        yield partial
        if folder.exists():
            folder.rmdir()  # empty, as checked above; Windows does not rename onto it
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
