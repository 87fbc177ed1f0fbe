"""The description that lies beside a data set's arrays: what they hold, what was left out, and warnings.

It holds neither paths nor times: the same data gives the same manifest wherever and whenever it is read.
"""

import json
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path

from dataset.errors import DatasetError, Refusal
from dataset.options import Interpolation

MANIFEST_FILE = "manifest.json"
MANIFEST_VERSION = 1
# What reading raises if the text is not JSON or not a manifest: int(Infinity) overflows, JSON may be nested too deep.
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class ClassEntry:
    """A value of the masks, and what it stands for.

    Attributes:
        index: The value.
        category_id: COCO category id, the first of those with this name; None for the background and for all
            categories together.
        name: The category's; "background" or "object" where it stands for none or for all together.
        categories: Names of the categories that have objects of this value, in order; none for the background.
    """

    index: int
    category_id: int | str | None
    name: str
    categories: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CategoryEntry:
    """A category of the annotation files, and how many annotations of it each split has."""

    id: int | str
    name: str
    annotations: dict[str, int]
    unused: bool


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """One row of the arrays.

    Attributes:
        file_name: Name of the file, relative to the split's folder.
        image_id: Its id.
        group: The patient or volume that it is of; None where that is not known.
    """

    file_name: str
    image_id: int | str
    group: str | None = None


@dataclass(frozen=True)
class SizeCount:
    """How many images have this original size."""

    height: int
    width: int
    images: int


@dataclass(frozen=True)
class SplitSummary:
    """What a split holds.

    Attributes:
        images: Accepted images: rows of the arrays.
        images_without_annotation: How many of these have no object.
        annotations: Objects, crowds included.
        crowd_annotations: Objects marked as crowd.
        empty_annotations: Objects too small to cover a pixel, or outside the image.
        rescaled_images: Images of other than 8 bit, scaled by their own minimum and maximum.
        rectangle_share: Share of annotations that are plain axis-aligned rectangles, 0 to 1; None without annotations.
        mask_area_percent: Percentiles "5" to "95" of the mask's share of the image, in percent, over images that have
            a mask; empty where none has.
        original_sizes: The most frequent sizes, most frequent first.
        samples: One entry a row, in order.
        vanished_annotations: Objects that, drawn alone, keep no pixel in the stored mask; empty ones included. None
            where that was not counted yet.
        orientation_tags: How many images have a tag of another orientation than upright, by how it was taken; see
            `dataset.images.orientation.Taken`.
    """

    images: int
    images_without_annotation: int
    annotations: int
    crowd_annotations: int
    empty_annotations: int
    rescaled_images: int
    rectangle_share: float | None
    mask_area_percent: dict[str, float]
    original_sizes: list[SizeCount]
    samples: list[SampleEntry]
    vanished_annotations: int | None = None
    orientation_tags: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Duplicate:
    """Files of several splits whose stored pixels are equal, and the digest of these pixels."""

    digest: str
    files: list[str]


@dataclass(frozen=True)
class NearDuplicate:
    """An image, last in `files`, and the one of an earlier split that it is most like, as `split/file`.

    Attributes:
        files: The two.
        correlation: How much they are alike, 1 at most; see `dataset.leaks.near_duplicates`.
    """

    files: list[str]
    correlation: float


@dataclass(frozen=True)
class SharedGroup:
    """A patient with images in several splits, and how many in each."""

    group: str
    images: dict[str, int]


@dataclass(frozen=True)
class Manifest:
    """The description of a stored data set; see the classes of its parts.

    Warnings say what a user should know before training, notes what was read although it is irregular. `layout` says in
    a sentence where the images and masks were found. `group_noun` is what the groups of samples are: "patient",
    "volume" or "series"; "image" where each is by itself.
    """

    version: int
    image_size: tuple[int, int]
    channels: int
    multi_class: bool
    classes: list[ClassEntry]
    categories: list[CategoryEntry]
    splits: dict[str, SplitSummary]
    duplicates_across_splits: list[Duplicate]
    refused: list[Refusal]
    warnings: list[str]
    notes: list[str] = field(default_factory=list)
    interpolation: Interpolation = "area"
    near_duplicates: list[NearDuplicate] = field(default_factory=list)
    shared_groups: list[SharedGroup] = field(default_factory=list)
    layout: str = ""
    group_noun: str = "patient"

    @property
    def class_names(self) -> list[str]:
        """The name of each value of the masks: `class_names[1]` is that of pixels with value 1."""
        return [entry.name for entry in self.classes]

    def save(self, folder: Path) -> None:
        """Writes the manifest into `folder`."""
        encoder = json.JSONEncoder(indent=1, allow_nan=False, default=_fields)
        with (folder / MANIFEST_FILE).open("w", encoding="utf-8") as file:
            file.writelines(encoder.iterencode(self))  # piece by piece: as one text it would take much memory
            file.write("\n")

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Reads the manifest in `folder`.

        Args:
            folder: A folder written by `dataset.ingest`.

        Returns:
            The manifest.

        Raises:
            DatasetError: It is missing, damaged, or of another version.
        """
        path = folder / MANIFEST_FILE
        try:
            raw = json.loads(path.read_bytes())
            version = raw["version"]
            if version == MANIFEST_VERSION:
                return _parse(raw)
        except FileNotFoundError as error:
            raise DatasetError(f"{folder} has no {MANIFEST_FILE}: it is no stored data set, ingest again") from error
        except _DAMAGE as error:
            raise DatasetError(f"{path} is damaged ({error!r:.200}): ingest the data set again") from error
        raise DatasetError(f"{path} has version {version}, this code reads {MANIFEST_VERSION}: ingest again")


def _fields(part: object) -> dict[str, object]:
    """Returns a part of the manifest as a dictionary that JSON can hold."""
    if not is_dataclass(part):
        raise TypeError(f"a manifest holds no {type(part).__name__}")
    return {each.name: getattr(part, each.name) for each in fields(part)}


def _parse(raw: dict) -> Manifest:
    """Builds the manifest from parsed JSON; a wrong shape raises one of `_DAMAGE`."""
    height, width = raw["image_size"]
    parts = {
        "image_size": (int(height), int(width)),
        "classes": [ClassEntry(**entry) for entry in raw["classes"]],
        "categories": [CategoryEntry(**entry) for entry in raw["categories"]],
        "splits": {name: _parse_split(entry) for name, entry in raw["splits"].items()},
        "duplicates_across_splits": [Duplicate(**entry) for entry in raw["duplicates_across_splits"]],
        "refused": [Refusal(**entry) for entry in raw["refused"]],
        "near_duplicates": [NearDuplicate(**entry) for entry in raw.get("near_duplicates", ())],
        "shared_groups": [SharedGroup(**entry) for entry in raw.get("shared_groups", ())],
    }
    return Manifest(**{**raw, **parts})


def _parse_split(raw: dict) -> SplitSummary:
    sizes = [SizeCount(**entry) for entry in raw["original_sizes"]]
    samples = [SampleEntry(**entry) for entry in raw["samples"]]
    return SplitSummary(**{**raw, "original_sizes": sizes, "samples": samples})
