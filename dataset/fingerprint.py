"""Digest of a data set's content: the same wherever the folder lies, another after any change."""

import hashlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import track

from dataset.errors import DatasetError
from dataset.folders import SPLITS, check_layout, usable_cores


def fingerprint(root: Path, num_workers: int = 0) -> str:
    """Digests the relative names and bytes of all files in the split folders; hidden files are ignored.

    Files are read in blocks, several at a time, so that memory does not grow with the data.

    Args:
        root: The data set's folder.
        num_workers: Threads; 0 for as many as cores may be used.

    Returns:
        SHA-256 as 64 hexadecimal digits.

    Raises:
        DatasetError: A split or its annotation file is missing, or a file cannot be read.
    """
    root = Path(root)
    check_layout(root)
    files = sorted((os.fsencode(path.relative_to(root).as_posix()), path) for path in _visible_files(root))
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
            total.update(len(name).to_bytes(8, "big") + name + digest)
    return total.hexdigest()


def _visible_files(root: Path) -> Iterator[Path]:
    """Walks the split folders, through links too, into every real folder once a split."""
    for split in SPLITS:
        seen: set[str] = set()
        for folder, folders, names in os.walk(root / split, followlinks=True):
            real = os.path.realpath(folder)
            folders[:] = sorted(name for name in folders if not name.startswith(".")) if real not in seen else []
            if real in seen:
                continue
            seen.add(real)
            paths = (Path(folder, name) for name in names if not name.startswith("."))
            yield from (path for path in paths if path.is_file())


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
