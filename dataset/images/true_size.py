"""Decodes an image whose annotation file does not say its size, or says it with a pixel more or less.

Tools that scale images round their sizes: outlines are right, the stated size is off by one. Any other difference
means that the outlines were drawn on another image, which stays an error.
"""

from dataclasses import replace

from dataset.annotations.coco import Sample
from dataset.annotations.segmentation import check_segmentation, near_size
from dataset.images.decode import DecodedImage, DecodeRequest, ImageError, ImageSizeError, decode_image
from dataset.images.orientation import Taken
from dataset.notes import Note

_BY_OPTION: dict[Taken | None, Taken] = {"turned_by_size": "turned_by_option", "kept_by_size": "kept_by_option"}


def decode_near_size(data: bytes, request: DecodeRequest, sample: Sample) -> tuple[Sample, DecodedImage]:
    """Decodes an image.

    Args:
        data: The file's bytes.
        request: What is needed of it.
        sample: What the annotation file says of it.

    Returns:
        The sample with the size of the file, and the image.

    Raises:
        ImageError: It cannot be used.
    """
    try:
        return sample, decode_image(data, request)
    except ImageSizeError as error:
        said = request.height, request.width
        near = [size for size in error.sizes if near_size(size, said)]
        if not near:
            raise
    size = near[0]
    note = Note.ONE_PIXEL if all(said) else Note.NO_SIZE
    sample = replace(sample, height=size[0], width=size[1], notes=(*sample.notes, note))
    if note is Note.NO_SIZE:
        _check_outlines(sample)
    decoded = decode_image(data, replace(request, height=size[0], width=size[1]))
    if len(near) > 1:  # what is annotated fits both turned and as stored: the option decided
        decoded = replace(decoded, taken=_BY_OPTION.get(decoded.taken, decoded.taken))
    return sample, decoded


def _check_outlines(sample: Sample) -> None:
    """Checks what could not be checked before the image's size was known."""
    for annotation in sample.annotations:
        try:
            check_segmentation(annotation.segmentation, sample.height, sample.width)
        except ValueError as error:
            raise ImageError(f"annotation {annotation.id}: {error}") from error
