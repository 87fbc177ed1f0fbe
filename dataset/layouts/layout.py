"""What a layout is: where the samples of a data set are, and how their images are read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from dataset.annotations.coco import Sample, SplitAnnotations
from dataset.errors import Refusal
from dataset.images.decode import DecodedImage, DecodeRequest
from dataset.options import Format
from dataset.sources.source import Source

UNDIVIDED = ""  # the split of samples that are in none yet
Decoded: TypeAlias = tuple[Sample, DecodedImage] | Refusal


@dataclass(frozen=True)
class Wanted:
    """What a caller says about a data set's layout.

    Attributes:
        format: The family of layouts to recognise; "auto" for any.
        axis: The axis along which volumes are cut into slices: 0, 1 or 2 of the stored array.
        modality: Which image is read where a mask has several; None where each has one.
        num_workers: Threads that read masks; 0 for as many as cores may be used.
    """

    format: Format = "auto"
    axis: int = 2
    modality: str | None = None
    num_workers: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """An image, or a volume, of which no more than its name is known.

    Attributes:
        split: Its split; `UNDIVIDED` where there are none.
        file_name: Its name.
        group: The patient or volume that it is of; None where its name and place do not tell.
    """

    split: str
    file_name: str
    group: str | None = None


@dataclass(frozen=True)
class Listing:
    """What the names of a data set's files tell, before any image or mask is read.

    Attributes:
        entries: The images that have a mask.
        problems: What is certainly wrong with all.
        refused: Files that certainly cannot be used.
    """

    entries: list[Listed] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


class ImageReader(Protocol):
    """Reads the images of samples; used by several threads at once."""

    def batches(self, samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
        """Yields the samples, in order, in groups that are read together: one image, or the slices of a volume."""
        ...

    def decode(self, samples: Sequence[Sample], request: DecodeRequest) -> Iterator[Decoded]:
        """Yields the image of each sample of one group.

        Args:
            samples: One of the groups.
            request: What is needed of each image; its size is that of the sample.

        Yields:
            The sample, with what was found out about it, and its image as its masks were drawn on it; or why it cannot
            be used.
        """
        ...


class Layout(Protocol):
    """A data set whose layout is known.

    Attributes:
        sentence: What was recognised, in one line.
        usual: Whether that is what everybody expects, so that nobody needs to be told.
        source: Where messages locate a split: `source.location("train")`.
        folders: How the splits are called in messages where it is not by their own names.
        window: How many groups of images that are read together may be in memory; None for four a core.
        splits: Which of train, valid and test are given.
        unit: What is read together and never divided: "image", "volume" or "series".
        patient_folders: The folders that were taken as patients, in order; none where there are no such folders.
    """

    sentence: str
    usual: bool
    source: Source
    folders: dict[str, str]
    splits: tuple[str, ...]
    unit: str
    patient_folders: tuple[str, ...]
    window: int | None

    def files(self, unreadable: list[str]) -> Iterable[str]:
        """Returns the real names of all files that might be read; appends to `unreadable` what cannot be listed."""
        ...

    def listing(self) -> Listing:
        """Returns what names tell, within a second; an empty listing where that takes longer."""
        ...

    def read(self, categories: Sequence[str]) -> tuple[list[SplitAnnotations], list[str]]:
        """Reads the annotations, or all masks.

        Args:
            categories: Names of the categories to read; empty for all.

        Returns:
            One part a split, or a single one of the split `UNDIVIDED`; and problems that concern no single sample.
        """
        ...

    def images(self, parts: Sequence[SplitAnnotations]) -> ImageReader:
        """Returns what reads the images of all parts' samples."""
        ...
