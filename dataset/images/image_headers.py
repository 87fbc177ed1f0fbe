"""What an image file's container says besides its pixels: whether the file is whole, whether it holds one picture.

Decoders fill a missing rest with gray and return the first of several frames, both without an error. Pillow answers
for PNG, GIF, WebP and AVIF. JPEG and TIFF are read here: Pillow finds a cut JPEG only by decoding all of it, and
cannot open every TIFF that OpenCV decodes (64-bit floats, signed colour, big-endian BigTIFF).
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.PngImagePlugin import ChunkStream
from PIL.WebPImagePlugin import WebPImageFile

PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8\xff"
# In compressed data 0xFF is followed by 0x00 (stuffing), by a restart marker, or by fill bytes; else a segment begins.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_END = 0xD9
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # segments that begin with the picture's depth and size
# By a TIFF's first bytes: order of bytes, bytes of an offset, bytes of the number of entries, bytes of an entry.
TIFF_STARTS: dict[bytes, tuple[Literal["little", "big"], int, int, int]] = {
    b"II*\0": ("little", 4, 2, 12),
    b"MM\0*": ("big", 4, 2, 12),
    b"II+\0": ("little", 8, 8, 20),  # BigTIFF
    b"MM\0+": ("big", 8, 8, 20),
}
# The kinds that Pillow may open, so that none of its other readers sees a file from outside. Their modules are imported
# here because Pillow would import those of all kinds to find them.
_OPENED_BY_PILLOW = [kind.format for kind in (AvifImageFile, GifImageFile, WebPImageFile)]


def is_whole(data: bytes) -> bool:
    """Returns whether a JPEG or PNG is complete.

    Args:
        data: The file's bytes.

    Returns:
        False for a JPEG without its end marker, or a PNG without its last chunk or with a wrong checksum; True for
        every other kind of file, whose decoder notices.
    """
    if data.startswith(JPEG_START):
        return any(marker == _JPEG_END for marker, _ in jpeg_segments(data))
    if data.startswith(PNG_START):
        return _png_chunks(data) is not None
    return True


@dataclass(frozen=True)
class JpegFrame:
    """What a JPEG says of its pixels as they are stored, before any EXIF orientation.

    Attributes:
        height: In pixels.
        width: In pixels.
        subsampled: Whether its colours have fewer pixels than its brightness.
    """

    height: int
    width: int
    subsampled: bool


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """Reads the segment with which a JPEG's picture begins.

    Args:
        data: The file's bytes.

    Returns:
        None for what is no JPEG or does not say.
    """
    if not data.startswith(JPEG_START):
        return None
    for marker, start in jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            height, width, components = data[start + 3 : start + 5], data[start + 5 : start + 7], data[start + 7 :]
            samplings = components[2 : 3 * components[0] + 1 : 3] if components else b""
            subsampled = len(set(samplings)) > 1
            return JpegFrame(int.from_bytes(height, "big"), int.from_bytes(width, "big"), subsampled)
    return None


def has_several_frames(data: bytes) -> bool:
    """Returns whether a file holds an animation or several pages; previews within a JPEG do not count.

    Args:
        data: The bytes of a whole file that OpenCV has decoded, so that its size is known to be within limits.

    Returns:
        True for an animated PNG, WebP, AVIF or GIF, and for a TIFF of several pages.
    """
    if data.startswith(JPEG_START):
        return False
    if data.startswith(PNG_START):
        # One such chunk begins each frame; the search spares most files a second walk through their chunks.
        return data.count(b"fcTL") > 1 and (_png_chunks(data) or []).count(b"fcTL") > 1
    if data[:4] in TIFF_STARTS:
        return _tiff_has_second_page(data)
    try:
        with Image.open(io.BytesIO(data), formats=_OPENED_BY_PILLOW) as image:
            return bool(getattr(image, "is_animated", False))
    except (OSError, Image.DecompressionBombError):  # of another kind, such as BMP
        return False


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields every segment's marker and where its content starts, up to the end marker.

    The content begins with its length in two bytes. A search for the end marker alone would find that of a thumbnail
    within a segment.
    """
    position = 2
    while found := _JPEG_MARKER.search(data, position):
        marker, position = data[found.start() + 1], found.end()
        yield marker, position
        if marker == _JPEG_END:
            return
        if marker not in (0x01, 0xD8):  # these two have no length
            position += int.from_bytes(data[position : position + 2], "big")


def _png_chunks(data: bytes) -> list[bytes] | None:
    """Returns the names of all chunks before the last; None where a checksum is wrong or the last is missing."""
    try:
        return ChunkStream(io.BytesIO(data[len(PNG_START) :])).verify()
    except (OSError, SyntaxError):
        return None


def _tiff_has_second_page(data: bytes) -> bool:
    """Reads the first page's directory, which ends with the offset of the second page's, or 0."""
    order, offset_bytes, count_bytes, entry_bytes = TIFF_STARTS[data[:4]]

    def number(position: int, length: int) -> int:
        return int.from_bytes(data[position : position + length], order)

    first = number(offset_bytes, offset_bytes)  # at byte 4, in BigTIFF at byte 8
    entries = number(first, count_bytes)
    return number(first + count_bytes + entries * entry_bytes, offset_bytes) > 0
