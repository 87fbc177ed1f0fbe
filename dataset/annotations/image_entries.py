"""Checks single values of an image's entry: its file name, its size."""

import math
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath

from dataset.annotations.json_values import written_number
from dataset.images.decode import MAX_PIXELS
from dataset.message_text import is_clean, quoted


def name_fault(raw: object) -> str | None:
    """Returns what is wrong with a `file_name`, or None.

    A name must stay within its split's folder, and must not be hidden: the fingerprint ignores hidden files, so a
    change of one would go unnoticed.

    Args:
        raw: The value as read from JSON.

    Returns:
        The fault and its repair, or None.
    """
    if not isinstance(raw, str) or not raw.strip():
        return f"the entry's file_name is {quoted(raw)}: write the image's name"
    if not is_clean(raw):
        return "the entry's file_name holds control characters or half characters: rename the file"
    if PurePosixPath(raw).is_absolute() or PureWindowsPath(raw).is_absolute():
        return "file_name is an absolute path: write it relative to the split's folder"
    parts = (*PurePosixPath(raw).parts, *PureWindowsPath(raw).parts)
    if ".." in parts:
        return "file_name leads out of the split's folder: move the image into it and write the name alone"
    if any(part.startswith(".") for part in parts):
        return "file_name is hidden (begins with a dot): rename the file"
    return None


def size_fault(entry: Mapping[str, object]) -> str | None:
    """Returns what is wrong with the size of an image, or None; memory of this size will be allocated.

    A side may be missing: the image's file has it.
    """
    said = [entry[key] for key in ("height", "width") if entry.get(key) is not None]
    sides = [written_number(side) or 0 for side in said]
    sizes = f"the entry's width x height is {quoted(entry.get('width'), 20)} x {quoted(entry.get('height'), 20)}"
    if min(sides, default=1) <= 0:
        return f"{sizes}: write the image's size in pixels"
    if math.prod(sides) > MAX_PIXELS:
        return f"{sizes}, more than {MAX_PIXELS // 10**6} million pixels: correct it, or cut the image into tiles"
    return None


def size_of(entry: Mapping[str, object]) -> tuple[int, int]:
    """Returns height and width as a checked entry says them; 0 for what is missing."""
    return written_number(entry.get("height")) or 0, written_number(entry.get("width")) or 0


def plain_name(raw: object) -> str | None:
    """Returns one spelling of a name: './a.jpg' and 'a.jpg' are the same file."""
    return str(PurePosixPath(raw)) if isinstance(raw, str) and raw else None
