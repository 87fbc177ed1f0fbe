"""Counts over a split's samples, and the warnings that a user should read before training."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dataset.annotations.classes import in_order
from dataset.annotations.coco import Sample, SplitAnnotations
from dataset.annotations.json_values import Identifier
from dataset.errors import Refusal
from dataset.images.masks import DrawnMask
from dataset.images.orientation import Taken
from dataset.leaks.near_duplicates import thumbnail
from dataset.manifest import CategoryEntry, SampleEntry, SizeCount, SplitSummary
from dataset.message_text import counted
from dataset.notes import Notes

PERCENTILES = (5, 25, 50, 75, 95)
MANY_RECTANGLES = 0.5  # from this share on, a network learns rectangles rather than objects
LARGEST_SIZES = 10
MANY_VANISHED = 0.01  # above this share of objects, what is stored is another data set
_DIGEST_BYTES = 16
_TAKEN: dict[Taken, str] = {
    "turned_by_size": "turned, as that alone fits the annotated size",
    "kept_by_size": "left as stored, as that alone fits the annotated size",
    "turned_by_option": "turned as it says, assuming that outlines were drawn on the image as it is shown "
    "(set data.exif=ignore if they were drawn on the pixels as stored)",
    "kept_by_option": "left as stored, assuming that outlines were drawn on the stored pixels "
    "(set data.exif=apply if they were drawn on the image as it is shown)",
}


@dataclass(frozen=True)
class PreparedSample:
    """A sample ready to be stored.

    Attributes:
        sample: The image's entry and its annotations.
        image: uint8 (H, W, C).
        mask: uint8 (H, W).
        rescaled: Whether its intensities had to be scaled to 8 bit.
        empty_annotations: Objects that cover no pixel.
        vanished_annotations: Objects that, drawn alone, keep no pixel in the stored mask.
        digest: Digest of the image; equal for equal pixels.
        thumbnail: The image, small; see `dataset.leaks.near_duplicates`.
        mask_pixels: How many of the mask's pixels belong to objects.
        orientation: How its orientation tag was taken; None where it has none.
    """

    sample: Sample
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    rescaled: bool
    empty_annotations: int
    vanished_annotations: int
    digest: bytes
    thumbnail: bytes
    mask_pixels: int
    orientation: Taken | None = None

    @classmethod
    def of(
        cls,
        sample: Sample,
        image: NDArray[np.uint8],
        rescaled: bool,
        drawn: DrawnMask,
        orientation: Taken | None = None,
    ) -> "PreparedSample":
        """Builds the sample and measures its pixels."""
        digest = hashlib.sha256(np.ascontiguousarray(image).data).digest()[:_DIGEST_BYTES]
        pixels = int(np.count_nonzero(drawn.pixels))
        small = thumbnail(image)
        return cls(
            sample, image, drawn.pixels, rescaled, drawn.empty, drawn.vanished, digest, small, pixels, orientation
        )


@dataclass
class SplitStatistics:
    """Counts over the samples of a split as they are stored; keeps a few numbers per sample, no pixels.

    Attributes:
        folder: The split's folder as notes name it; "" where the names of samples hold all folders.
    """

    folder: str = ""
    samples: list[Sample] = field(default_factory=list)
    digests: bytearray = field(default_factory=bytearray)
    thumbnails: bytearray = field(default_factory=bytearray)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    categories: Counter[Identifier] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    orientations: Counter[str] = field(default_factory=Counter)
    areas: "array[float]" = field(default_factory=lambda: array("d"))
    notes: Notes = field(default_factory=Notes)

    def add(self, prepared: PreparedSample) -> None:
        """Counts one stored sample."""
        sample = prepared.sample
        self.samples.append(sample)
        self.digests += prepared.digest
        self.thumbnails += prepared.thumbnail
        self.sizes[sample.height, sample.width] += 1
        self.categories.update(annotation.category_id for annotation in sample.annotations)
        self.counts["unannotated"] += not sample.annotations
        self.counts["annotations"] += len(sample.annotations)
        self.counts["crowds"] += sum(annotation.crowd for annotation in sample.annotations)
        self.counts["rectangles"] += sum(annotation.rectangle for annotation in sample.annotations)
        self.counts["empty"] += prepared.empty_annotations
        self.counts["vanished"] += prepared.vanished_annotations
        for note in sample.notes:
            self.notes.add(note, f"{self.folder}/{sample.file_name}" if self.folder else sample.file_name)
        self.counts["rescaled"] += prepared.rescaled
        if prepared.orientation is not None:
            self.orientations[prepared.orientation] += 1
        if prepared.mask_pixels:
            self.areas.append(100.0 * prepared.mask_pixels / prepared.mask.size)

    def digest(self, row: int) -> bytes:
        """Returns the digest of a stored image."""
        return bytes(self.digests[_DIGEST_BYTES * row : _DIGEST_BYTES * (row + 1)])

    def summary(self) -> SplitSummary:
        """Returns the split's part of the manifest."""
        annotations = self.counts["annotations"]
        percentiles = np.percentile(self.areas, PERCENTILES).tolist() if self.areas else []
        sizes = sorted(self.sizes.items(), key=lambda item: (-item[1], item[0]))[:LARGEST_SIZES]
        return SplitSummary(
            images=len(self.samples),
            images_without_annotation=self.counts["unannotated"],
            annotations=annotations,
            crowd_annotations=self.counts["crowds"],
            empty_annotations=self.counts["empty"],
            rescaled_images=self.counts["rescaled"],
            rectangle_share=self.counts["rectangles"] / annotations if annotations else None,
            mask_area_percent={
                str(rank): round(value, 4) for rank, value in zip(PERCENTILES, percentiles, strict=False)
            },
            original_sizes=[SizeCount(height, width, images) for (height, width), images in sizes],
            samples=[SampleEntry(sample.file_name, sample.image_id, sample.group) for sample in self.samples],
            vanished_annotations=self.counts["vanished"],
            orientation_tags=dict(sorted(self.orientations.items())),
        )


def category_entries(
    parts: Sequence[SplitAnnotations], statistics: Mapping[str, SplitStatistics]
) -> list[CategoryEntry]:
    """Lists the categories of all annotation files by id, with the number of stored annotations in each split."""
    names: dict[Identifier, str] = {}
    for part in parts:
        names = {**part.categories, **names}  # the first split's name counts
    entries = []
    for category_id in in_order(names):
        counts = {split: statistics[split].categories[category_id] for split in statistics}
        unused = not any(counts.values()) and not any(part.dropped[category_id] for part in parts)
        entries.append(CategoryEntry(category_id, names[category_id], counts, unused))
    return entries


def warnings_for(
    splits: Mapping[str, SplitSummary],
    categories: Sequence[CategoryEntry],
    refused: Sequence[Refusal],
    image_size: tuple[int, int],
) -> list[str]:
    """Returns, in sentences, what a user should know before training.

    Args:
        splits: Summary of every split.
        categories: All categories.
        refused: Samples and annotations that were left out.
        image_size: Height and width of the stored masks.

    Returns:
        The sentences; empty where nothing is remarkable.
    """
    found = [f"split {name}: no image has a mask" for name, split in splits.items() if not split.mask_area_percent]
    annotations = sum(split.annotations for split in splits.values())
    rectangles = sum((split.rectangle_share or 0.0) * split.annotations for split in splits.values())
    if annotations and rectangles >= MANY_RECTANGLES * annotations:
        found.append(
            f"{100 * rectangles / annotations:.1f} % of annotations are plain axis-aligned rectangles: Dice can only "
            "be as good as a guess of the rectangle"
        )
    found += [f"category {entry.id} ({entry.name!r}) is never used" for entry in categories if entry.unused]
    if rescaled := sum(split.rescaled_images for split in splits.values()):
        found.append(
            f"{counted(rescaled, 'image')} {'is' if rescaled == 1 else 'are'} not 8 bit: each was scaled by its own "
            "minimum and maximum"
        )
    if empty := sum(split.empty_annotations for split in splits.values()):
        found.append(f"{empty} annotations cover no pixel: too small, or outside the image")
    vanished = sum(split.vanished_annotations or 0 for split in splits.values())
    if vanished > max(empty, MANY_VANISHED * annotations):
        size = f"{image_size[0]}x{image_size[1]}"
        found.append(f"{vanished} of {annotations} objects keep no pixel at {size}; take a larger image_size")
    if refused:
        first = f"the first: {refused[0]}" if len(refused) > 1 else str(refused[0])
        found.append(
            f"samples with {counted(len(refused), 'fault')} were left out ({first}); dataset_manifest.json lists all"
        )
    return found


def orientation_notes(splits: Mapping[str, SplitSummary]) -> list[str]:
    """Returns one sentence about the images with an orientation tag and how it was taken; none where there are none.

    Args:
        splits: Summary of every split.
    """
    counts: Counter[str] = Counter()
    for split in splits.values():
        counts.update(split.orientation_tags)
    if not counts:
        return []
    parts = "; ".join(f"{counts[taken]} {text}" for taken, text in _TAKEN.items() if counts[taken])
    return [f"{counts.total()} images carry an EXIF orientation other than upright: {parts}"]
