"""What the container of an image file tells before it is decoded: whether it is whole, whether it holds one picture.

Decoders of many versions fill a missing rest with gray, and give the first of several frames without a word.
"""

import re
import zlib
from collections.abc import Iterator

import cv2
import numpy as np

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
# In compressed data 0xFF is followed by 0x00 (stuffing), by a restart marker, or by fill bytes; else a segment begins.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_END = 0xD9
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # segments that begin with the picture's depth and size
# By a TIFF's first bytes: order of bytes, bytes of an offset, bytes of the number of entries, bytes of an entry.
_TIFF_STARTS: dict[bytes, tuple[str, int, int, int]] = {
    b"II*\0": ("little", 4, 2, 12),
    b"MM\0*": ("big", 4, 2, 12),
    b"II+\0": ("little", 8, 8, 20),  # BigTIFF
    b"MM\0+": ("big", 8, 8, 20),
}


def is_whole(data: bytes) -> bool:
    """Tells whether a JPEG or PNG is complete.

    Args:
        data: The file's bytes.

    Returns:
        False for a JPEG without its end marker, or a PNG without its last chunk or with a wrong checksum; True for
        every other kind of file, which the decoder judges.
    """
    if data.startswith(_JPEG_START):
        return _jpeg_has_end(data)
    if data.startswith(_PNG_START):
        return _png_has_end(data)
    return True


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Reads the size of a JPEG's pixels as they are stored, before any EXIF orientation.

    Args:
        data: The file's bytes.

    Returns:
        Height and width; None for what is no JPEG or does not say.
    """
    if not data.startswith(_JPEG_START):
        return None
    for marker, start in _jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            return int.from_bytes(data[start + 3 : start + 5], "big"), int.from_bytes(
                data[start + 5 : start + 7], "big"
            )
    return None


def has_several_frames(data: bytes) -> bool:
    """Tells whether a file holds an animation or several pages; previews within a JPEG are none.

    Args:
        data: The bytes of a whole file.

    Returns:
        True for an animated PNG, WebP, AVIF or GIF, and for a TIFF of several pages.
    """
    if data.startswith(_PNG_START):
        return any(
            kind == b"acTL" and int.from_bytes(data[start : start + 4], "big") > 1
            for kind, start, _ in _png_chunks(data)
        )
    if data.startswith(b"RIFF") and data[8:16] == b"WEBPVP8X":
        return len(data) > 20 and bool(data[20] & 2)
    if data[4:12] == b"ftypavis":
        return True
    if data[:4] in _TIFF_STARTS:
        return _tiff_has_second_page(data)
    if data.startswith(b"GIF8"):
        return _gif_has_second_frame(data)
    return False


def _jpeg_has_end(data: bytes) -> bool:
    """Walks the segments: a search for the end marker alone would find that of an embedded thumbnail."""
    return any(marker == _JPEG_END for marker, _ in _jpeg_segments(data))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Gives every segment's marker and where its content, two bytes of length first, starts; up to the end marker."""
    position = 2
    while found := _JPEG_MARKER.search(data, position):
        marker, position = data[found.start() + 1], found.end()
        yield marker, position
        if marker == _JPEG_END:
            return
        if marker not in (0x01, 0xD8):  # these two have no length
            position += int.from_bytes(data[position : position + 2], "big")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Gives kind, start and end of every chunk's content; the end may lie beyond the file's."""
    position = len(_PNG_START)
    while position + 12 <= len(data):
        start = position + 8
        end = start + int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : start], start, end
        position = end + 4


def _png_has_end(data: bytes) -> bool:
    for kind, start, end in _png_chunks(data):
        if zlib.crc32(memoryview(data)[start - 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if kind == b"IEND":
            return True
    return False


def _tiff_has_second_page(data: bytes) -> bool:
    """Follows the offset of the first page's directory, behind whose entries stands the offset of the second's."""
    order, offset_bytes, count_bytes, entry_bytes = _TIFF_STARTS[data[:4]]

    def number(position: int, length: int) -> int:
        return int.from_bytes(data[position : position + length], "big" if order == "big" else "little")

    first = number(offset_bytes, offset_bytes)  # at byte 4, in BigTIFF at byte 8
    entries = number(first, count_bytes)
    return number(first + count_bytes + entries * entry_bytes, offset_bytes) > 0


def _gif_has_second_frame(data: bytes) -> bool:
    try:
        _, frames = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE, range=(0, 2))
    except cv2.error:  # the first was decoded before: another is there that cannot be
        return True
    return len(frames) > 1
