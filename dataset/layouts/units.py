"""What is read together in layouts of image and mask files: a picture, a volume, a series; and how its kinds do it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from dataset.errors import Refusal
from dataset.images.decode import DecodedImage, DecodeRequest, ImageError
from dataset.images.label_maps import LabelMap
from dataset.layouts.file_roles import Role
from dataset.layouts.pairing import Pair, Pairs
from dataset.notes import Note
from dataset.sources.source import Source

MAX_BYTES = 2**31  # of a volume or series, as its file holds it and as 32-bit numbers: 512 x 512 x 2048 voxels
_VOXEL_BYTES = 4  # of what is scaled


@dataclass(frozen=True, slots=True)
class Unit:
    """Images that are read together, with their masks.

    Attributes:
        name: As messages call it.
        pairs: Their files.
        group: The volume as a group of slices; None for a picture.
    """

    name: str
    pairs: tuple[Pair, ...]
    group: str | None

    @property
    def image(self) -> Role:
        """Its first image."""
        return self.pairs[0].image


@dataclass(frozen=True, slots=True)
class Labels:
    """The mask of one sample.

    Attributes:
        file_name: The sample's name.
        index: Its number within the unit.
        mask: Its mask.
        notes: What was found of the file.
    """

    file_name: str
    index: int
    mask: LabelMap
    notes: tuple[Note, ...] = ()


Image: TypeAlias = tuple[DecodedImage, tuple[Note, ...]]
Asked: TypeAlias = tuple[int, DecodeRequest]


class FileError(ImageError):
    """One file of a unit cannot be used.

    Attributes:
        file: Its name.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(reason)
        self.file = file


class Kind(Protocol):
    """How one kind of image and mask files is read; used by several threads at once.

    Attributes:
        sentence: What it is, as a plural.
        unit: What a unit is called: "image", "volume" or "series".
        several: Whether a unit has several images, so that few are read at a time.
        images: The endings of image files.
        masks: The endings of mask files.
    """

    sentence: str
    unit: str
    several: bool
    images: tuple[str, ...]
    masks: tuple[str, ...]

    def units(self, pairs: Pairs) -> list[Unit]:
        """Returns what is read together."""
        ...

    def labels(self, source: Source, unit: Unit) -> list[Labels | Refusal]:
        """Returns the masks of all samples of a unit, in order; raises FileError."""
        ...

    def pictures(self, source: Source, unit: Unit, asked: Sequence[Asked]) -> Iterator[Image | FileError]:
        """Yields the images of some samples of a unit, or what is wrong with one.

        Args:
            source: Where the data set lies.
            unit: The unit.
            asked: The samples' numbers, and what is needed of each; its size is that of the mask.

        Raises:
            FileError: None of them can be used.
        """
        ...


def read_file(source: Source, role: Role, noun: str, largest: int = MAX_BYTES) -> bytes:
    """Reads a file of a unit.

    Args:
        source: Where the data set lies.
        role: The file.
        noun: "image" or "mask".
        largest: Most bytes allowed.

    Raises:
        FileError: It leads out of the data set, or cannot be read.
    """
    if source.lies_outside(role.name):
        raise FileError(
            role.name, f"the {noun} is a link that leads out of the data set's folder: copy the file into it"
        )
    try:
        return source.read(role.name, largest)
    except FileNotFoundError as error:
        raise FileError(role.name, f"the {noun} file is missing: it was removed, or is a link to nothing") from error
    except OSError as error:
        raise FileError(role.name, f"the {noun} file cannot be read ({error.strerror}): check what it is") from error


def check_voxels(role: Role, noun: str, voxels: float) -> None:
    """Checks how large a volume or series becomes in memory.

    Args:
        role: Its file, or its first.
        noun: "image" or "mask".
        voxels: How many it has.

    Raises:
        FileError: They are too many.
    """
    if voxels * _VOXEL_BYTES > MAX_BYTES:
        raise FileError(
            role.name,
            f"the {noun} has {voxels / 1e6:.0f} million voxels: at most {MAX_BYTES / _VOXEL_BYTES / 1e6:.0f} million "
            f"are read ({MAX_BYTES >> 20} MB as 32-bit numbers); cut it into smaller volumes",
        )


def size_error(role: Role, image: tuple[int, ...], mask: tuple[int, ...], mask_name: str) -> FileError:
    """Returns the error for an image and a mask of different sizes (height and width, or those of an array)."""
    first, second = (" x ".join(map(str, size[::-1] if len(size) == 2 else size)) for size in (image, mask))
    return FileError(
        role.name,
        f"the image is {first}, its mask {mask_name} is {second}: restore the mask that was drawn on this image",
    )
