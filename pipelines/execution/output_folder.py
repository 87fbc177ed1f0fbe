"""The folder of results: locked while a run writes to it, and without the remains of runs that were killed."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from models.deployment.layout import EXPORTS, RECORD

_WRITTEN_FOLDERS = ("networks", "plots", "phantoms", EXPORTS)
_LOCK = ".lock"


class OutputFolderError(ValueError):
    """Results cannot be written to the folder of results."""


@contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Locks the folder of results for one run, and removes files that a killed run has written in part.

    A run that ends in an error leaves neither the lock's file nor empty folders, unless they were there before.

    Raises:
        OutputFolderError: The folder cannot be written to, or another run writes to it.
    """
    file = folder / _LOCK
    lock = FileLock(file, timeout=0)
    made = [path for path in (file, folder, *folder.parents) if not os.path.lexists(path)]  # innermost first
    with _explained(folder):
        _check_writable(folder)
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        _remove_partial_files(folder)
        yield
    except BaseException:
        _remove_made(made)  # while it is locked: filelock sees of a file that it is gone, and opens another
        raise
    finally:
        lock.release()


def _remove_made(made: Sequence[Path]) -> None:
    """Removes the file of a lock and the folders that were made for it, as far as they hold nothing else."""
    with suppress(OSError):
        for path in made:
            (path.rmdir if path.is_dir() else path.unlink)()


def check_output_folder(folder: Path) -> None:
    """Checks that a folder of results can be made or written to, and that no run writes to it now; writes nothing.

    Raises:
        OutputFolderError: It cannot, or one does.
    """
    with _explained(folder):
        _check_writable(folder)
        if (folder / _LOCK).exists():
            with FileLock(folder / _LOCK, timeout=0):
                pass


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except Timeout as error:
        raise OutputFolderError(f"another run writes to {folder}; wait for it, or choose another --out_dir") from error
    except OSError as error:
        reason = f"results cannot be written to {folder} ({error.strerror})"
        raise OutputFolderError(f"{reason}; choose another --out_dir") from error


def _check_writable(folder: Path) -> None:
    """Raises OSError where the folder, or of folders that are missing the one to make them in, cannot be written to."""
    path = folder.absolute()
    there = next(each for each in (path, *path.parents) if os.path.lexists(each))
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        number = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(number, os.strerror(number))


@contextmanager
def reported_removals(folder: Path) -> Iterator[None]:
    """Prints which networks of earlier runs were removed from the folder of results meanwhile."""
    places = {"networks": "*/network.json", EXPORTS: f"*/{RECORD}"}
    before = {name: _variants(folder / name, files) for name, files in places.items()}
    yield
    for name, files in places.items():
        if removed := sorted(before[name] - _variants(folder / name, files)):
            what = "has no such variants" if name != EXPORTS else "exports no such variants"
            print(f"removed from {folder / name}, as this run {what}: {', '.join(removed)}", file=sys.stderr)


def _variants(folder: Path, files: str) -> set[str]:
    return {file.parent.name for file in folder.glob(files)}


def _remove_partial_files(folder: Path) -> None:
    """Removes temporary files where runs write them; deeper folders may be the results of other runs."""
    for place in (folder, *(folder / name for name in _WRITTEN_FOLDERS)):
        for partial in place.glob(".*.partial"):
            if partial.is_dir() and not partial.is_symlink():
                shutil.rmtree(partial)
            else:
                partial.unlink()
