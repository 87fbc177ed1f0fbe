"""Files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Writes a file beside its place and moves it there, so that no reader ever sees half of it.

    Args:
        file: Where the content goes; the folder is made where it is missing, an older file is replaced. One process at
            a time may write it.
        content: The whole content.

    Raises:
        OSError: If the folder cannot be written; the older file is untouched then.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
