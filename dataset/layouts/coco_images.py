"""Reads the images that COCO's annotation files name."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from dataset.annotations.annotation_file import load_annotations
from dataset.annotations.coco import Sample, SplitAnnotations
from dataset.annotations.image_entries import name_fault
from dataset.errors import DatasetError
from dataset.images.decode import DecodeRequest, ImageError, MissingImageError, read_image_file
from dataset.images.true_size import decode_near_size
from dataset.layout import ANNOTATION_FILE
from dataset.layouts.layout import Decoded, Listed, Listing
from dataset.notes import Note
from dataset.sources.near_names import NearNames
from dataset.sources.source import Source

_QUICKLY_READ = 2**24  # bytes of annotation files, which take less than half a second


class CocoImages:
    """Reads images by the names of their entries; implements `dataset.layouts.layout.ImageReader`.

    Args:
        source: Where the data set lies, with a folder a split.
        listed: The file names of all entries of each split.
    """

    def __init__(self, source: Source, listed: Mapping[str, Iterable[str]]) -> None:
        self._source = source
        self._names = NearNames(source, listed)

    def batches(self, samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
        """Yields each sample alone."""
        return ([sample] for sample in samples)

    def decode(self, samples: Sequence[Sample], request: DecodeRequest) -> Iterator[Decoded]:
        """Yields the image of each sample."""
        return (self._decode(sample, request) for sample in samples)

    def _decode(self, sample: Sample, request: DecodeRequest) -> Decoded:
        name = f"{sample.split}/{sample.file_name}"
        if self._source.lies_outside(name):
            return sample.refuse("the file is a link that leads out of the data set's folder: copy the image into it")
        try:
            data = read_image_file(self._source, name)
        except MissingImageError:
            meant = self._names.file_of(sample.split, sample.file_name)
            if meant is None:
                advice = self._names.advice(sample.split, sample.file_name)
                return sample.refuse(f"the image file is missing: {advice}")
            return self._decode(replace(sample, file_name=meant, notes=(*sample.notes, Note.NAME)), request)
        except ImageError as error:
            return sample.refuse(str(error))
        try:
            return decode_near_size(data, replace(request, height=sample.height, width=sample.width), sample)
        except ImageError as error:
            return sample.refuse(str(error))


def listed_images(source: Source, splits: Sequence[str]) -> Listing:
    """Returns the images that annotation files list; an empty listing where they are large, or one has faults.

    Args:
        source: Where the data set lies.
        splits: The splits to read.
    """
    entries: list[Listed] = []
    try:
        if sum(_bytes(source, f"{split}/{ANNOTATION_FILE}") for split in splits) > _QUICKLY_READ:
            return Listing()
        for split in splits:
            names = [entry.get("file_name") for entry in load_annotations(source, split).images]
            entries += [Listed(split, str(name)) for name in names if name_fault(name) is None]
    except (OSError, DatasetError):  # which are told with all other faults, when all is read
        return Listing()
    return Listing(entries)


def _bytes(source: Source, name: str) -> int:
    with source.open(name) as file:
        return file.seek(0, os.SEEK_END)


def listed_names(part: SplitAnnotations) -> list[str]:
    """Returns the file names of all entries, of refused ones too: a file that one names is not another's."""
    refused = [refusal.file_name for refusal in part.refused if refusal.file_name is not None]
    return [*(sample.file_name for sample in part.samples), *refused]
