"""Decodes masks that are files of their own: which value each pixel has, and no value that a file does not hold."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.PngImagePlugin import PngImageFile
from pycocotools import mask as coco_mask

from dataset.images.decode import MAX_PIXELS, TOO_LARGE, ImageError, decode_as_stored
from dataset.images.image_headers import JPEG_START, PNG_START, has_several_frames, is_whole

MAX_VALUES = 255  # of one mask; more are an image, not labels
_GIF_START = b"GIF8"
_INEXACT = (JPEG_START, b"RIFF")  # JPEG and WebP
_DARK, _BRIGHT = 63, 192  # a JPEG of two values keeps them apart
_OPENED_BY_PILLOW = [kind.format for kind in (GifImageFile, PngImageFile)]


@dataclass(frozen=True, slots=True)
class Region:
    """All pixels of one value.

    Attributes:
        value: The value, not 0.
        counts: Their run lengths, compressed as COCO does.
    """

    value: int
    counts: str


@dataclass(frozen=True, slots=True)
class LabelMap:
    """A mask of one image.

    Attributes:
        height: Height in pixels.
        width: Width in pixels.
        regions: One a value other than 0, by increasing value; none for an image without a lesion.
    """

    height: int
    width: int
    regions: tuple[Region, ...]


def label_map(values: NDArray[np.generic]) -> LabelMap:
    """Finds the regions of a mask.

    Args:
        values: (H, W), whole numbers of any type, 0 for the background.

    Raises:
        ImageError: They are not finite, whole, at least 0, or too many.
    """
    height, width = values.shape
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise ImageError("the mask holds numbers that are not whole: write one whole number a class")
    found = np.unique(values)
    if found[0] < 0 or found[-1] > 2**31:
        raise ImageError(f"the mask holds the value {found[0] if found[0] < 0 else found[-1]}: write 0 to 255")
    if len(found) > MAX_VALUES + 1:
        raise ImageError(
            f"the mask holds {len(found)} different values, more than {MAX_VALUES + 1}: "
            "write one value a class, 0 for the background"
        )
    regions = []
    for value in found[found != 0]:
        rle = coco_mask.encode(np.asfortranarray(values == value, np.uint8))
        regions.append(Region(int(value), rle["counts"].decode("ascii")))
    return LabelMap(height, width, tuple(regions))


def decode_label_map(data: bytes) -> tuple[LabelMap, bool]:
    """Decodes a mask's file.

    A palette's indices are its values, unless its colours are black and white alone. Gray pictures that are stored as
    colour are taken; alpha is dropped. JPEG and WebP change values, so these must be black and white: what is darker
    than 64 is background, what is brighter than 191 is 1. One that has nothing bright must be black.

    Args:
        data: The file's bytes.

    Returns:
        The mask, and whether it had to be told from a JPEG's shades.

    Raises:
        ImageError: It is no mask, damaged, too large, in colours, or holds several pictures.
    """
    if not is_whole(data):
        raise ImageError("the mask file is cut off or damaged: copy or export it again")
    values = _by_pillow(data) if data.startswith((PNG_START, _GIF_START)) else decode_as_stored(data)
    if has_several_frames(data):
        raise ImageError("the mask file holds several frames: export each as a mask of its own")
    if not data.startswith(_INEXACT):
        return label_map(_without_colour(values)), False
    shades = np.asarray(values, np.uint8) if values.ndim == 2 else np.asarray(values, np.float32).mean(axis=2)
    if ((shades > _DARK) & (shades < _BRIGHT)).any():
        raise ImageError("the mask is a JPEG or WebP of more than black and white, whose values change: save it as PNG")
    if 0 < shades.max() < _BRIGHT:
        raise ImageError(
            f"the mask is a JPEG or WebP whose brightest value is {shades.max():.0f}, where values change: a lesion "
            "must be white (255) in it; save it as PNG"
        )
    return label_map(shades >= _BRIGHT), True


def _by_pillow(data: bytes) -> NDArray[np.generic]:
    """Decodes PNG and GIF, whose palettes OpenCV turns into colours."""
    try:
        with Image.open(io.BytesIO(data), formats=_OPENED_BY_PILLOW) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ImageError(TOO_LARGE)
            if picture.mode not in ("1", "L", "P", "LA", "RGB", "RGBA", "PA", "I", "I;16", "I;16B"):
                raise ImageError(f"the mask is of the kind {picture.mode}: save it as 8-bit gray PNG")
            return _black_and_white(picture) if picture.mode == "P" else np.asarray(picture)
    except Image.DecompressionBombError as error:
        raise ImageError(TOO_LARGE) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError("the mask file is damaged or of an unknown kind: export it again as PNG") from error


def _black_and_white(picture: Image.Image) -> NDArray[np.generic]:
    """Returns the indices of a picture with a palette; what is white where it shows nothing but black and white."""
    indices = np.asarray(picture)
    palette = np.asarray(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    used = np.unique(indices)
    if used[-1] < len(palette) and ((palette[used] == 0).all(axis=1) | (palette[used] == 255).all(axis=1)).all():
        return palette[indices][..., 0]
    return indices


def _without_colour(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Returns (H, W) of a mask that may be stored with three equal colours, and with alpha."""
    if values.ndim == 2:
        return values
    colours = values[..., : 3 if values.shape[2] >= 3 else 1]
    if (colours != colours[..., :1]).any():
        raise ImageError("the mask is in colours: write one whole number a class (gray, or a palette)")
    return colours[..., 0]
