"""NIfTI volumes with masks that are NIfTI volumes, cut into slices."""

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.errors import Refusal
from dataset.images.decode import MAX_PIXELS, DecodedImage, ImageError, to_channels
from dataset.images.label_maps import label_map
from dataset.images.volume_intensity import scale_together
from dataset.layouts.file_roles import NIFTI, Role
from dataset.layouts.pairing import Pairs
from dataset.layouts.units import MAX_BYTES, Asked, FileError, Image, Labels, Unit, check_voxels, read_file, size_error
from dataset.notes import Note
from dataset.sources.source import Source

_HEADER_BYTES = 2**20  # and what else may stand before the voxels
_PIECE = 2**20  # bytes
_DAMAGE = (OSError, EOFError, ValueError, TypeError, OverflowError, zlib.error)
_SAME_PLACE = 0.01  # millimetres


class NiftiVolumes:
    """One volume a file; implements `dataset.layouts.units.Kind`.

    The slices are `np.take(array, i, axis)` of the array as stored: its first remaining axis runs down the image, its
    second to the right. Nothing is turned or resampled by what the file says of its place in space.

    Args:
        axis: The axis along which it is cut: 0, 1, or 2.
        modality: The number of the image in files of four dimensions; None where each holds one.
    """

    unit = "volume"
    several = True
    images: tuple[str, ...] = NIFTI
    masks: tuple[str, ...] = NIFTI

    def __init__(self, axis: int, modality: str | None) -> None:
        self._axis = axis
        self._modality = modality
        self.sentence = f"NIfTI volumes and masks in pairs, cut along axis {axis}"

    def units(self, pairs: Pairs) -> list[Unit]:
        """Returns a unit a volume."""
        return [
            Unit(pair.image.name, (pair,), "/".join((*pair.mask.own_folders, pair.mask.stem)).strip("/"))
            for pair in pairs.found
        ]

    def labels(self, source: Source, unit: Unit) -> list[Labels | Refusal]:
        """Reads the mask and cuts it."""
        (pair,) = unit.pairs
        values = _array(_opened(read_file(source, pair.mask, "mask"), pair.mask, "mask"), pair.mask, "mask", None)
        try:
            maps = [label_map(cut) for cut in self._slices(values)]
        except ImageError as error:
            raise FileError(pair.mask.name, str(error)) from error
        return [Labels(f"{pair.image.name}:{i}", i, each) for i, each in enumerate(maps)]

    def pictures(self, source: Source, unit: Unit, asked: Sequence[Asked]) -> Iterator[Image | FileError]:
        """Reads the volume, scales it and cuts it."""
        (pair,) = unit.pairs
        values, affine = self._image(source, pair.image)
        mask = _opened(read_file(source, pair.mask, "mask"), pair.mask, "mask", _HEADER_BYTES)
        shape = _squeezed(mask.shape)
        if values.shape != shape:
            raise size_error(pair.image, values.shape, shape, pair.mask.name)
        same_place = np.allclose(affine, mask.affine, atol=_SAME_PLACE)
        notes: tuple[Note, ...] = () if same_place else (Note.OTHER_SPACE,)
        if values.dtype != np.uint8:
            notes += (Note.VOLUME,)
            try:
                (values,) = scale_together([values])
            except ImageError as error:
                raise FileError(pair.image.name, str(error)) from error
        slices = self._slices(values)
        for index, request in asked:
            pixels = np.ascontiguousarray(slices[index], np.uint8)
            yield DecodedImage(to_channels(pixels, request.channels), False, None), notes
            notes = ()  # told once, as they are of the volume

    def _slices(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Returns a view whose first axis counts the slices; `take` would copy the whole volume for each."""
        return np.moveaxis(values, self._axis, 0)

    def _image(self, source: Source, role: Role) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
        """Returns the values of an image and its place in space; the file's bytes are free by then."""
        volume = _opened(read_file(source, role, "image"), role, "image")
        return _array(volume, role, "image", self._modality), volume.affine


def _array(volume: Any, role: Role, noun: str, modality: str | None) -> NDArray[np.generic]:
    """Returns the values of three dimensions: of an image uint8 where the file holds them so, else scaled, float32.

    nibabel would scale in float64, which takes twice the memory. Whole numbers that are not scaled keep their type.
    """
    shape = _squeezed(volume.shape)
    if len(shape) != 3 and (len(shape) != 4 or noun == "mask"):
        raise FileError(role.name, f"the {noun} has the shape {volume.shape}: give a volume of three dimensions")
    check_voxels(role, noun, np.prod(shape[:3], dtype=float))
    number = _number(modality, shape[3], role) if len(shape) == 4 else None
    proxy = volume.dataobj
    try:
        stored = np.asanyarray(proxy.get_unscaled()).reshape(shape)
        slope, intercept = np.float32(proxy.slope), np.float32(proxy.inter)
    except _DAMAGE as error:
        raise _damaged(role, noun) from error
    if stored.dtype.kind not in "biuf":
        raise FileError(role.name, f"the {noun} holds {stored.dtype}: give a volume of real numbers")
    if number is not None:
        stored = stored[..., number].copy()  # so that the others are not kept in memory
    scaled = (slope, intercept) != (1, 0)
    if not scaled and (stored.dtype.kind in "biu" or stored.dtype == np.float32):
        return stored
    with np.errstate(over="ignore"):  # what becomes infinite is refused as such
        values = stored.astype(np.float32)
        if scaled:
            values *= slope
            values += intercept
    return values


def _number(modality: str | None, images: int, role: Role) -> int:
    """Returns which image of a file with several is meant."""
    if modality is not None and modality.isdecimal() and int(modality) < images:
        return int(modality)
    raise FileError(
        role.name, f"the volume holds {images} images: choose one by data.modality, a number from 0 to {images - 1}"
    )


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns a shape without dimensions of 1 at its end, as far as three are left."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _opened(data: bytes, role: Role, noun: str, largest: int = MAX_BYTES) -> Any:
    """Returns nibabel's image of a file, whose pixels are read only when they are asked for.

    Args:
        data: The file's bytes.
        role: The file.
        noun: "image" or "mask".
        largest: How many bytes of the uncompressed file are needed.

    Raises:
        FileError: It is no volume, damaged or too large.
    """
    from nibabel.filebasedimages import ImageFileError  # noqa: PLC0415 - where no volume is read, it takes no time
    from nibabel.nifti1 import Nifti1Image  # noqa: PLC0415
    from nibabel.nifti2 import Nifti2Image  # noqa: PLC0415
    from nibabel.spatialimages import HeaderDataError  # noqa: PLC0415
    from nibabel.wrapstruct import WrapStructError  # noqa: PLC0415

    try:
        file = _uncompressed(data, largest)
        if file.seek(0, io.SEEK_END) > MAX_BYTES:
            raise FileError(role.name, f"the {noun} has more than {MAX_BYTES >> 20} MB: cut it into smaller volumes")
        file.seek(0)
        two = file.read(4) in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")  # the size of its header, 540
        file.seek(0)
        image = (Nifti2Image if two else Nifti1Image).from_stream(file)
        shape = image.shape
    except (*_DAMAGE, ImageFileError, HeaderDataError, WrapStructError) as error:
        if isinstance(error, FileError):
            raise
        raise _damaged(role, noun) from error
    if min(shape, default=0) < 1 or np.prod(shape, dtype=float) > MAX_BYTES:
        raise FileError(role.name, f"the {noun} has the shape {shape}: give a volume of three dimensions")
    if max(np.prod(shape[:2]), np.prod(shape[1:3]), np.prod(shape[:3:2])) > MAX_PIXELS:
        raise FileError(role.name, f"the {noun} has slices of more than {MAX_PIXELS // 10**6} million pixels: cut it")
    return image


def _uncompressed(data: bytes, largest: int) -> io.BytesIO:
    """Returns a file's content, of a compressed one as many bytes as are needed and at most a piece more."""
    if data[:2] != b"\x1f\x8b":
        return io.BytesIO(data)
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        while content.tell() <= largest and (piece := file.read(_PIECE)):
            content.write(piece)
    return content


def _damaged(role: Role, noun: str) -> FileError:
    return FileError(role.name, f"the {noun} file is no NIfTI volume, cut off or damaged: export it again")
