"""Digest of a data set's content: the same wherever the folder lies, another after any change."""

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track

from dataset.errors import DatasetError, report
from dataset.folders import SPLITS, cannot_read, check_root, homes, lies_in, mode_of, usable_cores


def fingerprint(root: Path, num_workers: int = 0) -> str:
    """Digests the relative names and bytes of all files in the split folders that `ingest` might read.

    Not counted are hidden files, pipes and devices, and links that lead out of the data set: `ingest` refuses them.
    What is missing or wrong is for `ingest` to report, all at once. Files are read in blocks, several at a time, so
    that memory does not grow with the data.

    Args:
        root: The data set's folder.
        num_workers: Threads; 0 for as many as cores may be used.

    Returns:
        SHA-256 as 64 hexadecimal digits.

    Raises:
        DatasetError: `root` is no folder, or files or folders in it cannot be read: a digest without them would not
            notice that they change.
    """
    root = Path(root)
    check_root(root)
    unreadable: list[str] = []
    found = _visible_files(root, unreadable)
    files = sorted((os.fsencode(path.relative_to(root).as_posix()), path) for path in found)
    total = hashlib.sha256()
    with ThreadPoolExecutor(num_workers or usable_cores()) as pool:
        digests = pool.map(_digest, [path for _, path in files])
        shown = track(
            digests,
            "fingerprint",
            len(files),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        for (name, _), digest in zip(files, shown, strict=True):
            if isinstance(digest, DatasetError):
                unreadable += digest.problems
            else:
                total.update(len(name).to_bytes(8, "big") + name + digest)
    if unreadable:
        raise report(unreadable)
    return total.hexdigest()


def _visible_files(root: Path, unreadable: list[str]) -> Iterator[Path]:
    """Walks the split folders, through links that stay within the data set, into every real folder once a split."""

    def note(error: OSError) -> None:
        unreadable.extend(cannot_read(error.filename, error).problems)

    for split in SPLITS:
        if not stat.S_ISDIR(mode_of(root / split)):
            continue
        seen: set[str] = set()
        allowed = homes(root, split)
        for folder, folders, names in os.walk(root / split, onerror=note, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen or not lies_in(real, allowed):
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for path in (Path(folder, name) for name in names if not name.startswith(".")):
                try:
                    if stat.S_ISREG(mode_of(path)) and (not path.is_symlink() or lies_in(path, allowed)):
                        yield path
                except DatasetError as error:
                    unreadable += error.problems


def _digest(path: Path) -> bytes | DatasetError:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        return cannot_read(path, error)
