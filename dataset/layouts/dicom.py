"""DICOM series, a folder each, with a mask file for every slice."""

import io
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.errors import Refusal
from dataset.images.decode import MAX_BYTES, MAX_PIXELS, DecodedImage, ImageError, to_channels
from dataset.images.label_maps import label_map
from dataset.images.volume_intensity import scale_together
from dataset.layouts.file_roles import DICOM, PICTURES, Role, has_ending
from dataset.layouts.pairing import Pair, Pairs
from dataset.layouts.picture_files import picture_labels
from dataset.layouts.units import Asked, FileError, Image, Labels, Unit, read_file, size_error
from dataset.notes import Note
from dataset.sources.source import Source

_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"  # DICOM-SEG, which holds all masks of a series in its own frames
# What pydicom raises at damaged files and at compressions that no installed library knows.
_DAMAGE = (AttributeError, EOFError, KeyError, NotImplementedError, OSError, RuntimeError, TypeError, ValueError)


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
        headers = [_read(source, pair.image, "image", pixels=False) for pair in unit.pairs]
        if len({str(header.get("SeriesInstanceUID", "")) for header in headers}) > 1:
            raise FileError(unit.pairs[0].image.name, "its folder holds several series: give each a folder of its own")
        labels: list[Labels | Refusal] = []
        for i in sorted(range(len(headers)), key=lambda i: (*_position(headers[i]), unit.pairs[i].image.name)):
            pair = unit.pairs[i]
            try:
                labels.append(_labels(source, pair, i))
            except FileError as error:
                labels.append(Refusal(unit.image.split, error.file, None, None, str(error)))
        return labels

    def pictures(self, source: Source, unit: Unit, asked: Sequence[Asked]) -> Iterator[Image | FileError]:
        """Decodes all slices, scales them together, and yields those that are asked for."""
        headers = [_read(source, pair.image, "image", pixels=True) for pair in unit.pairs]
        slices = [_values(header, pair.image, "image") for header, pair in zip(headers, unit.pairs, strict=True)]
        notes: tuple[Note, ...] = ()
        if any(values.dtype != np.uint8 for values in slices):
            notes = (Note.VOLUME,)
            try:
                slices = [*scale_together(slices)]
            except ImageError as error:
                raise FileError(unit.name, str(error)) from error
        for index, request in asked:
            pixels = np.asarray(slices[index], np.uint8)
            if headers[index].get("PhotometricInterpretation") == "MONOCHROME1":  # its small values are bright
                pixels = 255 - pixels
            pair = unit.pairs[index]
            if pixels.shape != (request.height, request.width):
                yield size_error(pair.image, pixels.shape, (request.height, request.width), pair.mask.name)
                continue
            yield DecodedImage(to_channels(pixels, request.channels), False, None), notes


def _labels(source: Source, pair: Pair, index: int) -> Labels:
    """Decodes the mask of one slice, which may be a picture or DICOM."""
    if not has_ending(pair.mask.name, DICOM):
        return picture_labels(source, pair.mask, pair.image.name, index)
    try:
        values = _values(_read(source, pair.mask, "mask", pixels=True), pair.mask, "mask")
        return Labels(pair.image.name, index, label_map(values))
    except FileError:
        raise
    except ImageError as error:
        raise FileError(pair.mask.name, str(error)) from error


def _read(source: Source, role: Role, noun: str, *, pixels: bool) -> Any:
    """Returns a file's data set, without its pixels unless they are wanted."""
    from pydicom import config, dcmread  # noqa: PLC0415 - where no DICOM is read, it takes no time
    from pydicom.errors import InvalidDicomError  # noqa: PLC0415

    data = read_file(source, role, noun, MAX_BYTES)
    config.settings.reading_validation_mode = config.IGNORE  # tags that are not read may hold what they like
    try:
        header = dcmread(io.BytesIO(data), stop_before_pixels=not pixels)
        frames, samples = int(header.get("NumberOfFrames") or 1), int(header.get("SamplesPerPixel") or 1)
        size = int(header.Rows), int(header.Columns)
    except (*_DAMAGE, InvalidDicomError, struct.error) as error:
        raise FileError(role.name, f"the {noun} file is no DICOM image, cut off or damaged: export it again") from error
    if str(header.get("SOPClassUID", "")) == _SEGMENTATION:
        raise FileError(role.name, "this is DICOM-SEG: convert it to one mask file a slice, PNG or NIfTI")
    if frames > 1 or samples > 1:
        what = f"{frames} frames" if frames > 1 else "colours"
        raise FileError(role.name, f"the {noun} has {what}: export single gray slices")
    if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise FileError(role.name, f"the {noun} is {size[1]} x {size[0]} pixels: at most {MAX_PIXELS} are read")
    return header


def _values(header: Any, role: Role, noun: str) -> NDArray[np.generic]:
    """Returns the pixels, rescaled by slope and intercept; uint8 where they are stored so and nothing is rescaled."""
    try:
        stored = np.asarray(header.pixel_array)
        slope, intercept = (float(header.get(key) or default) for key, default in _RESCALE)
    except (*_DAMAGE, struct.error) as error:
        raise FileError(
            role.name,
            f"the {noun}'s pixels cannot be decoded: the file is damaged, or compressed in a rare way; save it "
            "uncompressed",
        ) from error
    if noun == "mask" or (stored.dtype == np.uint8 and (slope, intercept) == (1, 0)):
        return stored
    return stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)


_RESCALE = (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))


def _position(header: Any) -> tuple[float, float]:
    """Returns where a slice lies along the normal of its plane, in millimetres, and its number in the series."""
    try:
        number = float(header.get("InstanceNumber") or 0)
        place, axes = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
        if place is None or axes is None:
            return 0.0, number
        directions = np.asarray(axes, np.float64).reshape(2, 3)
        return float(np.cross(*directions) @ np.asarray(place, np.float64)), number
    except (TypeError, ValueError):  # not as many numbers as there should be
        return 0.0, 0.0
