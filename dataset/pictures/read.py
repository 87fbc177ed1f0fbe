"""Reads images without masks, in their own size and as ingestion would store them; and digests their content."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.cores import in_order, usable_cores
from dataset.errors import Refusal, combined_error
from dataset.file_digests import digest_files
from dataset.images.decode import DecodeRequest, ImageError, decode_any_size, decode_image, read_image_file
from dataset.images.image_headers import JPEG_START
from dataset.images.opencv_settings import plain_opencv
from dataset.images.resize import resize_image
from dataset.options import Exif, Interpolation
from dataset.pictures.find import Pictures


@dataclass(frozen=True)
class StoredAs:
    """How ingestion stores images.

    Attributes:
        channels: 1 for gray, 3 for red, green, blue.
        image_size: Height and width.
        interpolation: How they are resized.
        exif: Whether images with an orientation tag are turned.
    """

    channels: int
    image_size: tuple[int, int]
    interpolation: Interpolation = "area"
    exif: Exif = "apply"


@dataclass(frozen=True)
class Picture:
    """An image.

    Attributes:
        name: Its file.
        pixels: uint8 (H, W, C) in its own size.
        stored: uint8 (h, w, C), as a data set stores it.
    """

    name: str
    pixels: NDArray[np.uint8]
    stored: NDArray[np.uint8]


def read_pictures(pictures: Pictures, stored_as: StoredAs, num_workers: int = 0) -> Iterator[Picture | Refusal]:
    """Decodes images in threads, and yields them in order; few are in memory at a time.

    Args:
        pictures: Which.
        stored_as: How they would be stored.
        num_workers: Threads; 0 for as many as cores may be used.

    Yields:
        Each image, or why it cannot be used.
    """
    threads = num_workers or usable_cores()
    read = functools.partial(_read, pictures, stored_as)
    with plain_opencv(), ThreadPoolExecutor(threads) as pool:
        yield from in_order(pool, read, pictures.names, threads)


def digest_pictures(pictures: Pictures, num_workers: int = 0) -> str:
    """Digests names and bytes of images: the same wherever they lie, another one after any change.

    Args:
        pictures: Which.
        num_workers: Threads; 0 for as many as cores may be used.

    Returns:
        SHA-256 as 64 hexadecimal digits.

    Raises:
        DatasetError: Files cannot be read.
    """
    unreadable: list[str] = []
    digest = digest_files(pictures.source, pictures.names, unreadable, num_workers)
    if unreadable:
        raise combined_error(unreadable)
    return digest


def _read(pictures: Pictures, stored_as: StoredAs, name: str) -> Picture | Refusal:
    try:
        data = read_image_file(pictures.source, name)
        pixels = decode_any_size(data, stored_as.channels, stored_as.exif).pixels
        return Picture(name, pixels, _stored(data, pixels, stored_as))
    except ImageError as error:
        return Refusal("", name, None, None, str(error))


def _stored(data: bytes, pixels: NDArray[np.uint8], stored_as: StoredAs) -> NDArray[np.uint8]:
    """Returns an image as ingestion stores it, which of some JPEGs decodes fewer pixels."""
    if stored_as.interpolation == "area" and data.startswith(JPEG_START):
        height, width = pixels.shape[:2]
        request = DecodeRequest(height, width, stored_as.channels, stored_as.image_size, stored_as.exif)
        pixels = decode_image(data, request).pixels
    return resize_image(pixels, *stored_as.image_size, stored_as.interpolation)
