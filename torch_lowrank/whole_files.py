"""Files and folders that appear whole or not at all, even if the process is killed while it writes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(file: Path, content: bytes | memoryview) -> None:
    """Writes a file beside its place and moves it there, so that no reader ever sees half of it.

    Args:
        file: Where the content goes; the folder is made where it is missing, an older file is replaced. One process at
            a time may write it.
        content: The whole content.

    Raises:
        OSError: If the folder cannot be written; the older file is untouched then.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")  # always the same: a killed process leaves one at most
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder to fill, which takes the place of `folder` when the block ends without an error.

    Args:
        folder: Where the content will be. What is there is replaced as a whole, and untouched if the block raises;
            the caller checks that it may be replaced. Parents are made where they are missing.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(".partial", f".{folder.name}.", folder.parent))
    try:
        new, old = temporary / "new", temporary / "old"
        new.mkdir()
        yield new
        if folder.exists():
            folder.replace(old)  # a folder that is not empty cannot be replaced in one move
        try:
            new.replace(folder)
        except OSError:
            if old.exists():
                old.replace(folder)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
