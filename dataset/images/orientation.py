"""The orientation that an image file carries: by how it is to be turned before it is shown.

Cameras and scanners store pixels as the sensor gives them, and a tag that says where up is: in Exif data within a JPEG,
PNG, WebP or AVIF, in a TIFF as one of its own tags. Outlines may have been drawn on either picture.
"""

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile

from dataset.images.image_headers import JPEG_START, PNG_START, TIFF_STARTS, jpeg_segments

# How an image with a tag was taken, and whether its annotated size told so or the option `exif`.
Taken = Literal["turned_by_size", "kept_by_size", "turned_by_option", "kept_by_option"]

_TAG = 0x0112
UPRIGHT = 1
_EXIF = b"Exif\0\0"
_JPEG_APP1 = 0xE1
_AVIF_STARTS = (b"ftypavif", b"ftypavis", b"ftypmif1", b"ftypmsf1")
_SHORT, _LONG = 3, 4
# What is done to rows and columns, after both have changed places in 5 to 8.
_STEPS = {1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
_INVERSE = {6: 8, 8: 6}


def orientation_of(data: bytes) -> int:
    """Reads the orientation tag.

    Args:
        data: The bytes of a file that OpenCV has decoded, so that its size is known to be within limits.

    Returns:
        1 to 8, as Exif numbers them; 1, upright, where there is none or one of no meaning.
    """
    found = _avif_tag(data) if data[4:12] in _AVIF_STARTS else _tag(_tags(data))
    return found if found in _STEPS else UPRIGHT


def turned(image: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Turns stored pixels as the tag says.

    Args:
        image: (H, W) or (H, W, C).
        orientation: 1 to 8; from 5 on, the sides change places.

    Returns:
        The image as it is shown.
    """
    if orientation == UPRIGHT:
        return image
    rows, columns = _STEPS[orientation]
    sides_changed = image.swapaxes(0, 1) if swaps_sides(orientation) else image
    return np.ascontiguousarray(sides_changed[::rows, ::columns])


def turned_back(image: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Turns an image as it is shown back to the pixels that were stored; see `turned`."""
    return turned(image, _INVERSE.get(orientation, orientation))


def swaps_sides(orientation: int) -> bool:
    """Whether height and width change places."""
    return orientation > 4


def _avif_tag(data: bytes) -> int:
    """Asks Pillow: an AVIF says in boxes of its own how it is to be turned and mirrored."""
    try:
        with Image.open(io.BytesIO(data), formats=[AvifImageFile.format]) as image:
            return int(image.getexif().get(_TAG, UPRIGHT))
    except (OSError, Image.DecompressionBombError):
        return UPRIGHT


def _tags(data: bytes) -> bytes:
    """Returns the part of a file that is laid out as a TIFF and holds its tags; empty where it has none."""
    if data[:4] in TIFF_STARTS:
        return data
    if data.startswith(JPEG_START) and _EXIF in data:
        contents = (start + 2 for marker, start in jpeg_segments(data) if marker == _JPEG_APP1)
        return next((data[start + len(_EXIF) :] for start in contents if data.startswith(_EXIF, start)), b"")
    if data.startswith(PNG_START) and b"eXIf" in data:
        return _chunk(data, b"eXIf", first=8, order="big", name_at=4, around=12)
    if data[8:12] == b"WEBP" and b"EXIF" in data:
        return _chunk(data, b"EXIF", first=12, order="little", name_at=0, around=8).removeprefix(_EXIF)
    return b""


def _chunk(data: bytes, name: bytes, first: int, order: Literal["little", "big"], name_at: int, around: int) -> bytes:
    """Returns the content of a chunk, found by walking along all before it.

    Args:
        data: The file's bytes.
        name: The chunk's.
        first: Where the first chunk begins.
        order: Of the bytes of a length.
        name_at: Where in a chunk its name stands, of four bytes; its length takes the four beside it.
        around: Bytes of a chunk besides its content.
    """
    position = first
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 - name_at : position + 8 - name_at], order)
        if data[position + name_at : position + name_at + 4] == name:
            return data[position + 8 : position + 8 + length]
        position += around + length + (length % 2 if order == "little" else 0)  # WebP's chunks begin at even places
    return b""


def _tag(tags: bytes) -> int | None:
    """Looks the orientation up in the first directory of a TIFF's layout."""
    if tags[:4] not in TIFF_STARTS:
        return None
    order, offset_bytes, count_bytes, entry_bytes = TIFF_STARTS[tags[:4]]

    def number(position: int, length: int) -> int:
        return int.from_bytes(tags[position : position + length], order)

    directory = number(offset_bytes, offset_bytes)
    entries = min(number(directory, count_bytes), len(tags) // entry_bytes)
    for place in range(directory + count_bytes, directory + count_bytes + entries * entry_bytes, entry_bytes):
        if number(place, 2) == _TAG:
            kind = number(place + 2, 2)
            return number(place + entry_bytes - offset_bytes, {_SHORT: 2, _LONG: 4}.get(kind, 0))
    return None
