"""DICOM series, a folder each, with a mask file for every slice."""

import io
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.errors import Refusal
from dataset.images.decode import MAX_BYTES as MAX_FILE_BYTES
from dataset.images.decode import MAX_PIXELS, DecodedImage, ImageError, to_channels
from dataset.images.label_maps import label_map
from dataset.images.volume_intensity import scale_together
from dataset.layouts.file_roles import DICOM, PICTURES, Role, has_ending
from dataset.layouts.pairing import Pair, Pairs
from dataset.layouts.picture_files import picture_labels
from dataset.layouts.units import Asked, FileError, Image, Labels, Unit, check_voxels, read_file, size_error
from dataset.message_text import quoted
from dataset.notes import Note
from dataset.sources.source import Source

_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"  # DICOM-SEG, which holds all masks of a series in its own frames
_META_START = 132  # bytes before the first tag
_INVERTED = "MONOCHROME1"  # its small values are bright
_GRAY = (_INVERTED, "MONOCHROME2", "")
# What pydicom raises at damaged files and at compressions that no installed library knows.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class _Header:
    """What is needed of a file's tags, each converted once.

    Attributes:
        kind: SOP class.
        series: The series that it is of.
        photometric: What its values mean.
        frames: How many images it holds.
        samples: Values a pixel.
        height: Rows.
        width: Columns.
        position: Where it lies along the normal of its plane, in millimetres, and its number in the series.
        slope: What stored values are multiplied by.
        intercept: What is added then.
    """

    kind: str
    series: str
    photometric: str
    frames: int
    samples: int
    height: int
    width: int
    position: tuple[float, float]
    slope: float
    intercept: float

    @property
    def inverted(self) -> bool:
        """Whether small values are bright."""
        return self.photometric == _INVERTED


class DicomSeries:
    """One slice a file, the files of a folder one series; implements `dataset.layouts.units.Kind`."""

    sentence = "DICOM series, a folder each, with a mask file a slice"
    unit = "series"
    several = True
    images: tuple[str, ...] = DICOM
    masks: tuple[str, ...] = (*PICTURES, *DICOM)

    def units(self, pairs: Pairs) -> list[Unit]:
        """Returns a unit a folder."""
        series: dict[str, list[Pair]] = defaultdict(list)
        for pair in pairs.found:
            series[pair.image.name.rpartition("/")[0]].append(pair)
        return [Unit(folder or ".", tuple(own), folder or ".") for folder, own in series.items()]

    def labels(self, source: Source, unit: Unit) -> list[Labels | Refusal]:
        """Decodes the masks, in the order in which the slices lie in space."""
        headers = [_read(source, pair.image, "image", pixels=False)[0] for pair in unit.pairs]
        if len({header.series for header in headers}) > 1:
            raise FileError(unit.image.name, "its folder holds several series: give each a folder of its own")
        check_voxels(unit.image, "series", sum(header.height * header.width for header in headers))
        labels: list[Labels | Refusal] = []
        for i in sorted(range(len(headers)), key=lambda i: (*headers[i].position, unit.pairs[i].image.name)):
            pair = unit.pairs[i]
            try:
                labels.append(_labels(source, pair, i))
            except FileError as error:
                labels.append(Refusal(unit.image.split, error.file, None, None, str(error)))
        return labels

    def pictures(self, source: Source, unit: Unit, asked: Sequence[Asked]) -> Iterator[Image | FileError]:
        """Decodes all slices, scales them together, and yields those that are asked for."""
        read = [_read(source, pair.image, "image", pixels=True) for pair in unit.pairs]
        inverted, slices = [header.inverted for header, _ in read], [values for _, values in read]
        del read
        notes: tuple[Note, ...] = ()
        if any(values.dtype != np.uint8 for values in slices):
            notes = (Note.VOLUME,)
            try:
                slices = [*scale_together(slices)]
            except ImageError as error:
                raise FileError(unit.name, str(error)) from error
        for index, request in asked:
            pixels = np.asarray(slices[index], np.uint8)
            if inverted[index]:
                pixels = 255 - pixels
            pair = unit.pairs[index]
            if pixels.shape != (request.height, request.width):
                yield size_error(pair.image, pixels.shape, (request.height, request.width), pair.mask.name)
                continue
            yield DecodedImage(to_channels(pixels, request.channels), False, None), notes
            notes = ()  # told once, as they are of the series


def _labels(source: Source, pair: Pair, index: int) -> Labels:
    """Decodes the mask of one slice, which may be a picture or DICOM."""
    if not has_ending(pair.mask.name, DICOM):
        return picture_labels(source, pair.mask, pair.image.name, index)
    try:
        _, values = _read(source, pair.mask, "mask", pixels=True)
        return Labels(pair.image.name, index, label_map(values))
    except FileError:
        raise
    except ImageError as error:
        raise FileError(pair.mask.name, str(error)) from error


def _read(source: Source, role: Role, noun: str, *, pixels: bool) -> tuple[_Header, NDArray[np.generic]]:
    """Returns a file's tags, and its pixels; none unless they are wanted.

    pydicom converts a value when it is asked for: whatever is needed is asked for here, once.
    """
    from pydicom import config, dcmread  # noqa: PLC0415 - where no DICOM is read, it takes no time
    from pydicom.errors import BytesLengthException, InvalidDicomError  # noqa: PLC0415

    data = read_file(source, role, noun, MAX_FILE_BYTES)
    config.settings.reading_validation_mode = config.IGNORE  # tags that are not read may hold what they like
    try:
        deflated = _is_deflated(data)
        opened = None if deflated else dcmread(io.BytesIO(data), stop_before_pixels=not pixels)
        header = None if opened is None else _header_of(opened)
    except (*_DAMAGE, BytesLengthException, InvalidDicomError) as error:
        raise FileError(role.name, f"the {noun} file is no DICOM image, cut off or damaged: export it again") from error
    if opened is None or header is None:  # it might become a thousand times as large
        raise FileError(role.name, f"the {noun} file is deflated as a whole, which is not read: save it uncompressed")
    _check(header, role, noun)
    if not pixels:
        return header, np.empty(0, np.uint8)
    try:
        stored = np.asarray(opened.pixel_array)
    except (*_DAMAGE, BytesLengthException) as error:
        raise FileError(
            role.name,
            f"the {noun}'s pixels cannot be decoded: the file is damaged, or compressed in a rare way; save it "
            "uncompressed",
        ) from error
    return header, stored if noun == "mask" else _rescaled(stored, header)


def _is_deflated(data: bytes) -> bool:
    """Returns whether all behind the first tags is compressed, which pydicom would inflate however large it becomes."""
    from pydicom.filereader import read_dataset  # noqa: PLC0415
    from pydicom.uid import DeflatedExplicitVRLittleEndian  # noqa: PLC0415

    file = io.BytesIO(data)
    file.seek(_META_START)
    meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)  # as the standard has them
    return bool(meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian)


def _header_of(opened: Any) -> _Header:
    """Converts the tags that are needed; raises one of `_DAMAGE`."""
    return _Header(
        kind=str(opened.get("SOPClassUID", "")),
        series=str(opened.get("SeriesInstanceUID", "")),
        photometric=str(opened.get("PhotometricInterpretation") or ""),
        frames=int(opened.get("NumberOfFrames") or 1),
        samples=int(opened.get("SamplesPerPixel") or 1),
        height=int(opened.Rows),
        width=int(opened.Columns),
        position=_position(opened),
        slope=float(opened.get("RescaleSlope") or 1.0),
        intercept=float(opened.get("RescaleIntercept") or 0.0),
    )


def _check(header: _Header, role: Role, noun: str) -> None:
    """Checks that a file holds a gray picture."""
    if header.kind == _SEGMENTATION:
        raise FileError(role.name, "this is DICOM-SEG: convert it to one mask file a slice, PNG or NIfTI")
    if header.frames > 1 or header.samples > 1:
        what = f"{header.frames} frames" if header.frames > 1 else "colours"
        raise FileError(role.name, f"the {noun} has {what}: export single gray slices")
    if header.photometric not in _GRAY:
        kind = quoted(header.photometric)
        raise FileError(role.name, f"the {noun}'s PhotometricInterpretation is {kind}: export it as gray (MONOCHROME2)")
    height, width = header.height, header.width
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise FileError(role.name, f"the {noun} is {width} x {height} pixels: at most {MAX_PIXELS} are read")


def _rescaled(stored: NDArray[np.generic], header: _Header) -> NDArray[np.generic]:
    """Applies slope and intercept; values stay uint8 where they are stored so and nothing is rescaled."""
    if stored.dtype == np.uint8 and (header.slope, header.intercept) == (1, 0):
        return stored
    values = stored.astype(np.float32)
    values *= np.float32(header.slope)
    values += np.float32(header.intercept)
    return values


def _position(opened: Any) -> tuple[float, float]:
    """Returns where a slice lies along the normal of its plane, in millimetres, and its number in the series."""
    try:
        number = float(opened.get("InstanceNumber") or 0)
        place, axes = opened.get("ImagePositionPatient"), opened.get("ImageOrientationPatient")
        if place is None or axes is None:
            return 0.0, number
        directions = np.asarray(axes, np.float64).reshape(2, 3)
        return float(np.cross(*directions) @ np.asarray(place, np.float64)), number
    except (TypeError, ValueError):  # not as many numbers as there should be
        return 0.0, 0.0
