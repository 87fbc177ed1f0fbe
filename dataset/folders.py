"""Folders on disk: the layout of a data set, its files, and folders that appear whole or not at all."""

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset.errors import DatasetError
from dataset.values import cleaned

SPLITS = ("train", "valid", "test")
ANNOTATION_FILE = "_annotations.coco.json"
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_root(root: Path) -> None:
    """Checks that `root` is a folder that can be read.

    Args:
        root: The data set's folder.

    Raises:
        DatasetError: It is not.
    """
    try:
        with os.scandir(root):
            return
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a name that nothing can have
        raise DatasetError(f"{root} is not a folder: give the folder that holds {', '.join(SPLITS)}") from error
    except OSError as error:
        raise cannot_read(root, error) from error


def mode_of(path: Path) -> int:
    """Tells what lies at a path, links followed, and does not take what may not be looked at for missing.

    Returns:
        The mode as in `os.stat`; 0 where nothing is, or a link to itself.

    Raises:
        DatasetError: It cannot be told.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        if error.errno == errno.ELOOP:
            return 0
        raise cannot_read(path, error) from error


def missing_splits(root: Path) -> tuple[list[str], str]:
    """Looks for the split folders.

    Args:
        root: The data set's folder.

    Returns:
        The splits that have no folder, and one sentence about all of them.

    Raises:
        DatasetError: A folder may not be looked at.
    """
    missing = [split for split in SPLITS if not stat.S_ISDIR(mode_of(root / split))]
    found = sorted(cleaned(path.name) for path in root.iterdir() if missing and path.is_dir())
    return missing, (
        f"{root} has no folder {', '.join(missing)} (found: {', '.join(found) or 'none'}): "
        f"expected {', '.join(SPLITS)}, each with {ANNOTATION_FILE} and its images"
    )


def read_file(path: Path, largest: int | None = None) -> bytes:
    """Reads a file that is one: reading a pipe or a device might never end.

    Args:
        path: The file.
        largest: Most bytes allowed.

    Returns:
        Its bytes.

    Raises:
        OSError: It cannot be read; `strerror` says why.
        ValueError: No file can have this name.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(stat.S_IFMT(status.st_mode), 'something special')}, no file")
    if largest is not None and status.st_size > largest:
        raise OSError(errno.EFBIG, f"it has {status.st_size >> 20} MB, more than {largest >> 20} MB")
    return path.read_bytes()


def cannot_read(path: str | Path, error: OSError) -> DatasetError:
    """Builds the error about a file or folder that the system does not let us read."""
    return DatasetError(f"{path} cannot be read ({error.strerror}): check what it is, and its permissions")


def homes(root: Path, split: str) -> tuple[str, ...]:
    """Gives the real folders in which a split's files may really lie: the data set, and the split, maybe a link."""
    return os.path.realpath(root), os.path.realpath(root / split)


def lies_in(path: str | Path, folders: tuple[str, ...]) -> bool:
    """Tells whether a path, links resolved, is one of the (real) folders or lies in one."""
    real = os.path.realpath(path)
    return any(real == folder or real.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


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
