"""Images of different splits that show nearly the same: a copy turned, mirrored, sharpened, or the slice beside it.

Each image is reduced to 32 x 32 gray values, of which the large-scale brightness is subtracted (what a Gaussian blur
leaves), as all heads are alike in that. Two images are near-duplicates where the correlation of what remains is at
least `ALIKE` in one of the eight ways of turning by quarters and mirroring.

`ALIKE` was chosen by eye on two public sets of brain MRI: pairs from 0.95 on are copies, or neighbouring slices of a
patient; so are nearly all down to 0.85, and those of different patients stay below 0.8. What it does not find: copies
that are shifted by more than a hundredth of the image, cropped, turned by other angles, or inverted, and slices of a
patient that are further apart. Blank images are like none.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

ALIKE = 0.95
SIDE = 32  # of a thumbnail, in pixels
THUMBNAIL_BYTES = SIDE * SIDE
_BLUR = 3.0  # standard deviation in pixels of the thumbnail: larger structures do not count
_FLAT = 8.0  # norm below which nothing is seen: a quarter of a gray value in each pixel
_KEPT = 12  # coefficients in each direction that are looked at first
_ROUNDING = 1e-4
_ROWS, _COLUMNS = 2048, 512  # images that are compared at once


@dataclass(frozen=True)
class Match:
    """The image of an earlier split that an image of a later one is most like.

    Attributes:
        splits: The two splits.
        rows: The image's row in each.
        correlation: Of the two, from `ALIKE` to 1.
    """

    splits: tuple[str, str]
    rows: tuple[int, int]
    correlation: float


def thumbnail(image: NDArray[np.uint8]) -> bytes:
    """Returns an image (H, W, C) as `THUMBNAIL_BYTES` gray values."""
    gray = image[..., 0] if image.shape[-1] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(np.ascontiguousarray(gray), (SIDE, SIDE), interpolation=cv2.INTER_AREA).tobytes()


def near_duplicates(thumbnails: Mapping[str, bytes | bytearray]) -> list[Match]:
    """Returns for each image of a later split the one of each earlier split that it is most like, if it is like one.

    Every image is compared with every one of the other splits: two orthonormal vectors are compared in their lowest
    spatial frequencies, and where what these leave out could still make them alike, in full. Besides the thumbnails it
    takes about 70 MB. The time grows with the square of the number of images: beside reading JPEG files of 256 x 256 it
    is about a sixth for 10,000 images, and as much again for 100,000.

    Args:
        thumbnails: Split to the thumbnails of its images, one after the other.
    """
    pictures = {split: _pictures(data) for split, data in thumbnails.items()}
    found = []
    for first, second in combinations(pictures, 2):
        rows, correlations = _most_alike(pictures[first], pictures[second])
        found += [
            Match((first, second), (int(rows[column]), int(column)), min(1.0, float(correlations[column])))
            for column in np.flatnonzero(correlations >= ALIKE)
        ]
    return found


def _pictures(data: bytes | bytearray) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8).reshape(-1, SIDE, SIDE)


def _most_alike(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Returns for each picture of `second` the row of `first` that is most like it, and their correlation.

    Correlations below `ALIKE` need not be right.
    """
    rows, best = np.zeros(len(second), dtype=np.intp), np.full(len(second), -1, dtype=np.float32)
    if not len(first):
        return rows, best
    low = np.concatenate([_low(_spectrum(part)) for _, part in _parts(first, _ROWS)])
    for at, part in _parts(second, _COLUMNS):
        for turned in _turned(_spectrum(part)):
            columns_low = _low(turned)
            for row, some in _parts(first, _ROWS):
                may = low[row : row + len(some)] @ columns_low.T >= ALIKE - _ROUNDING
                if may.any():
                    _compare(some, turned, may, (rows[at : at + len(part)], best[at : at + len(part)]), row)
    return rows, best


def _compare(
    some: NDArray[np.uint8],
    spectra: NDArray[np.float32],
    may: NDArray[np.bool_],
    known: tuple[NDArray[np.intp], NDArray[np.float32]],
    offset: int,
) -> None:
    """Compares the pictures that may be alike in full, and keeps in `known` what is better than what it holds."""
    rows, best = known
    wanted, columns = np.flatnonzero(may.any(1)), np.flatnonzero(may.any(0))
    left = _spectrum(some[wanted]).reshape(len(wanted), -1)
    correlations = left @ spectra[columns].reshape(len(columns), -1).T
    most = correlations.argmax(0)
    value = correlations[most, np.arange(len(columns))]
    better = value > best[columns]
    rows[columns[better]] = offset + wanted[most[better]]
    best[columns[better]] = value[better]


def _spectrum(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns the cosine transform (N, SIDE, SIDE) of the pictures without large structures, of norm 1; 0 if blank."""
    plain, blurred = _transforms()
    values = pictures.astype(np.float32)
    spectra = plain @ values @ plain.T - blurred @ values @ blurred.T
    spectra[:, 0, 0] = 0  # the mean
    norms = np.sqrt((spectra**2).sum((1, 2), keepdims=True))
    return np.divide(spectra, norms, out=np.zeros_like(spectra), where=norms > _FLAT)


@functools.cache
def _transforms() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the matrices (SIDE, SIDE) of the cosine transform of columns, and of that after a blur."""
    unit = np.eye(SIDE, dtype=np.float32)
    cosine = np.asarray(cv2.dct(unit, flags=cv2.DCT_ROWS).T, dtype=np.float32)
    kernel = cv2.getGaussianKernel(6 * round(_BLUR) + 1, _BLUR, cv2.CV_32F)
    blur = cv2.sepFilter2D(unit, -1, np.ones(1, dtype=np.float32), kernel, borderType=cv2.BORDER_REPLICATE)
    return cosine, np.asarray(cosine @ blur, dtype=np.float32)


def _low(spectra: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the lowest frequencies, and the norm of the others: products of these rows are never below the true ones.

    By Cauchy and Schwarz, the product of what is left out is at most the product of its norms.
    """
    low = spectra[:, :_KEPT, :_KEPT].reshape(len(spectra), -1)
    rest = np.sqrt(np.maximum((spectra**2).sum((1, 2)) - (low**2).sum(1), 0))
    return np.concatenate([low, rest[:, None]], axis=1)


def _turned(spectra: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yields the spectra of the pictures in all eight positions.

    Mirroring changes the sign of the odd frequencies of one direction, turning exchanges the directions as well.
    """
    signs = np.where(np.arange(SIDE) % 2, -1, 1).astype(np.float32)
    for each in (spectra, spectra.transpose(0, 2, 1)):
        for vertical in (1, signs[:, None]):
            for horizontal in (1, signs[None, :]):
                yield np.ascontiguousarray(each * vertical * horizontal)


def _parts(pictures: NDArray[np.uint8], number: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for first in range(0, len(pictures), number):
        yield first, pictures[first : first + number]
