"""Reads the images that COCO's annotation files name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from dataset.annotations.coco import Sample, SplitAnnotations
from dataset.images.decode import DecodeRequest, ImageError, MissingImageError, read_image_file
from dataset.images.true_size import decode_near_size
from dataset.layouts.layout import Decoded
from dataset.notes import Note
from dataset.sources.near_names import NearNames
from dataset.sources.source import Source


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


def listed_names(part: SplitAnnotations) -> list[str]:
    """Returns the file names of all entries, of refused ones too: a file that one names is not another's."""
    refused = [refusal.file_name for refusal in part.refused if refusal.file_name is not None]
    return [*(sample.file_name for sample in part.samples), *refused]
