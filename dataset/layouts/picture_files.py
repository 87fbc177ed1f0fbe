"""Pictures with masks that are pictures: PNG, TIFF, JPEG and what else is decoded."""

from collections.abc import Iterator, Sequence

from dataset.errors import Refusal
from dataset.images.decode import MAX_BYTES, ImageError, ImageSizeError, decode_image
from dataset.images.label_maps import decode_label_map
from dataset.layouts.file_roles import PICTURES, Role
from dataset.layouts.pairing import Pairs
from dataset.layouts.units import Asked, FileError, Image, Labels, Unit, read_file, size_error
from dataset.notes import Note
from dataset.sources.source import Source


class PictureFiles:
    """One image a file; implements `dataset.layouts.units.Kind`."""

    sentence = "image and mask files in pairs"
    unit = "image"
    several = False
    images: tuple[str, ...] = PICTURES
    masks: tuple[str, ...] = PICTURES

    def units(self, pairs: Pairs) -> list[Unit]:
        """Returns a unit a pair."""
        return [Unit(pair.image.name, (pair,), None) for pair in pairs.found]

    def labels(self, source: Source, unit: Unit) -> list[Labels | Refusal]:
        """Decodes the mask."""
        (pair,) = unit.pairs
        return [picture_labels(source, pair.mask, pair.image.name, 0)]

    def pictures(self, source: Source, unit: Unit, asked: Sequence[Asked]) -> Iterator[Image | FileError]:
        """Decodes the image as images of COCO are."""
        (pair,), ((_, request),) = unit.pairs, asked
        data = read_file(source, pair.image, "image", MAX_BYTES)
        try:
            yield decode_image(data, request), ()
        except ImageSizeError as error:
            raise size_error(pair.image, error.sizes[0], (request.height, request.width), pair.mask.name) from error
        except ImageError as error:
            raise FileError(pair.image.name, str(error)) from error


def picture_labels(source: Source, mask: Role, image: str, index: int) -> Labels:
    """Decodes a mask that is a picture.

    Args:
        source: Where the data set lies.
        mask: The mask's file.
        image: The name of its sample.
        index: The sample's number within its unit.

    Raises:
        FileError: It cannot be used.
    """
    data = read_file(source, mask, "mask", MAX_BYTES)
    try:
        labels, from_shades = decode_label_map(data)
    except ImageError as error:
        raise FileError(mask.name, str(error).replace("image file", "mask file")) from error
    return Labels(image, index, labels, (Note.JPEG_MASK,) if from_shades else ())
