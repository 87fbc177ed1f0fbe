"""A data set of image and mask files: its masks become objects as those of COCO are, one of each value and image."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby

from dataset.annotations.coco import Annotation, Sample, SplitAnnotations
from dataset.annotations.json_values import Identifier
from dataset.annotations.segmentation import Rle
from dataset.annotations.segmentation_cache import SegmentationCache
from dataset.annotations.value_names import NAME_FILES, value_names
from dataset.cores import in_order, usable_cores
from dataset.errors import DatasetError, Refusal, combined_error
from dataset.images.decode import DecodeRequest
from dataset.layout import SPLITS
from dataset.layouts.file_roles import has_ending
from dataset.layouts.layout import UNDIVIDED, Decoded, Listed, Listing, Wanted
from dataset.layouts.pairing import pair_names
from dataset.layouts.patients import patients_of
from dataset.layouts.units import FileError, Kind, Labels, Unit
from dataset.message_text import counted, shortened
from dataset.notes import Note, Notes
from dataset.sources.source import Source
from dataset.sources.split_names import SplitView

_SHOWN = 10  # ends of names


class PairedFiles:
    """A data set of image and mask files; implements `dataset.layouts.layout.Layout`.

    Args:
        source: Where it lies.
        names: All its files.
        kind: How its files are read.
        wanted: What the caller says about it.
    """

    usual = False

    def __init__(self, source: Source, names: Sequence[str], kind: Kind, wanted: Wanted) -> None:
        self._files = source
        self._names = names
        self._kind = kind
        self._wanted = wanted
        self._name_file = next((name for name in NAME_FILES if name in names), None)
        self._pairs = pair_names(names, kind.images, kind.masks, wanted.modality)
        self._units = kind.units(self._pairs)
        self._patients = patients_of([unit.image for unit in self._units])
        self.patient_folders = tuple(sorted({each for each in self._patients if each is not None}))
        self.unit = kind.unit
        given = {unit.image.split for unit in self._units}
        self.splits = tuple(split for split in SPLITS if split in given)
        self.source: Source = SplitView(source, dict.fromkeys(SPLITS, ""))
        self.folders = dict.fromkeys(SPLITS, "")  # names of files hold their folders already
        self.sentence = self._sentence()
        self.window = (wanted.num_workers or usable_cores()) if kind.several else None
        self._where: dict[str, tuple[Unit, int]] = {}

    @property
    def fits(self) -> bool:
        """Whether there is any pair."""
        return bool(self._pairs.found or self._pairs.modalities)

    @property
    def has_masks(self) -> bool:
        """Whether there are masks, with images of their names or without."""
        return self._pairs.masks > 0

    def _sentence(self) -> str:
        count, folders = len(self._units), len(self.patient_folders)
        patients = f" in {folders} folders that look like patients" if folders else ""
        splits = f"in folders {', '.join(self.splits)}" if len(self.splits) == len(SPLITS) else "without splits"
        first = f", as {self._pairs.found[0].image.name} with {self._pairs.found[0].mask.name}" if count else ""
        if self._pairs.modalities:
            first += f", whose masks have several images each ({self._ends()}: data.modality chooses)"
        return f"{self._kind.sentence}{first}: {counted(count, self.unit)}{patients}, {splits}"

    def files(self, unreadable: list[str]) -> Iterable[str]:
        """Returns all images and masks, and the file of names."""
        endings = (*self._kind.images, *self._kind.masks)
        names = [name for name in self._names if has_ending(name, endings) or name == self._name_file]
        return [name for name in names if not self._files.lies_outside(name)]

    def listing(self) -> Listing:
        """Returns the images and volumes, and which files have no partner."""
        whole = len(self.splits) < len(SPLITS)
        entries = [
            Listed(UNDIVIDED if whole else pair.image.split, pair.image.name, patient or unit.group)
            for unit, patient in zip(self._units, self._patients, strict=True)
            for pair in unit.pairs
        ]
        refused = [replace(refusal, split=UNDIVIDED) for refusal in self._pairs.refused]  # their names hold the split
        return Listing(entries, self._modality_problems(), refused)

    def read(self, categories: Sequence[str]) -> tuple[list[SplitAnnotations], list[str]]:
        """Reads all masks: their sizes, and which values are where.

        Raises:
            DatasetError: Masks have several images, so that what is missing elsewhere cannot be told.
        """
        if problems := self._modality_problems():
            raise combined_error(problems)
        names: dict[int, str] = {}
        try:
            names = value_names(self._files, self._name_file)
        except DatasetError as error:
            problems += error.problems
        whole = len(self.splits) < len(SPLITS)
        reader = _MaskReader(names, categories, [UNDIVIDED] if whole else SPLITS)
        for name in self._pairs.without_masks:
            reader.note(Note.WITHOUT_MASKS, name)
        for name in self._pairs.beside:
            reader.note(Note.BESIDE, name)
        for refusal in self._pairs.refused:
            reader.refuse(replace(refusal, split=UNDIVIDED) if whole else refusal)
        with ThreadPoolExecutor(self._wanted.num_workers or usable_cores()) as pool:
            masks = in_order(pool, self._labels, self._units)
            for unit, patient, labels in zip(self._units, self._patients, masks, strict=True):
                split = UNDIVIDED if whole else unit.image.split
                for each in labels:
                    if isinstance(each, Refusal):
                        reader.refuse(replace(each, split=split))
                    else:
                        self._where[each.file_name] = unit, each.index
                        reader.add(split, patient or unit.group, each)
        return reader.parts(), problems

    def _labels(self, unit: Unit) -> list[Labels | Refusal]:
        try:
            return self._kind.labels(self._files, unit)
        except FileError as error:
            return [Refusal(unit.image.split, error.file, None, None, str(error))]

    def _modality_problems(self) -> list[str]:
        if not self._pairs.modalities:
            return []
        return [
            f"{self._files.location()}: masks have several images each, whose names end with {self._ends()}: choose "
            f"one by data.modality={min(self._pairs.modalities)}"
        ]

    def _ends(self) -> str:
        return ", ".join(map(shortened, sorted(self._pairs.modalities)[:_SHOWN]))

    def images(self, parts: Sequence[SplitAnnotations]) -> "_PairedImages":
        """Returns what reads the images."""
        return _PairedImages(self._files, self._kind, self._where)


class _PairedImages:
    """Reads the images of units; implements `dataset.layouts.layout.ImageReader`."""

    def __init__(self, source: Source, kind: Kind, where: dict[str, tuple[Unit, int]]) -> None:
        self._source = source
        self._kind = kind
        self._where = where

    def batches(self, samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
        """Yields the samples of each unit."""
        for _, own in groupby(samples, key=lambda sample: self._where[sample.file_name][0].name):
            yield [*own]

    def decode(self, samples: Sequence[Sample], request: DecodeRequest) -> Iterator[Decoded]:
        """Yields the images of one unit; one refusal where the whole unit cannot be used."""
        unit = self._where[samples[0].file_name][0]
        asked = [
            (self._where[sample.file_name][1], replace(request, height=sample.height, width=sample.width))
            for sample in samples
        ]
        try:
            for sample, image in zip(samples, self._kind.pictures(self._source, unit, asked), strict=True):
                if isinstance(image, FileError):
                    yield Refusal(sample.split, image.file, None, None, str(image))
                else:
                    yield replace(sample, notes=(*sample.notes, *image[1])), image[0]
        except FileError as error:
            others = f" (with it, all {len(samples)} slices of {unit.name} are left out)" if len(samples) > 1 else ""
            yield Refusal(samples[0].split, error.file, None, None, f"{error}{others}")


class _MaskReader:
    """Makes samples of masks, and collects what is wrong with others."""

    def __init__(self, names: dict[int, str], categories: Sequence[str], splits: Sequence[str]) -> None:
        self._names = names
        self._selected = categories
        self._cache = SegmentationCache()
        self._categories: dict[Identifier, str] = {value: name for value, name in names.items()}  # noqa: C416
        self._images = 0
        self._parts = {
            split: SplitAnnotations(split, self._categories, [], [], Notes(), Counter(), 0) for split in splits
        }

    def note(self, note: Note, place: str) -> None:
        """Notes what concerns no single sample."""
        next(iter(self._parts.values())).notes.add(note, place)

    def refuse(self, refusal: Refusal) -> None:
        """Adds a refusal; one of a file in no split counts for the first."""
        self._parts.get(refusal.split, next(iter(self._parts.values()))).refused.append(refusal)

    def add(self, split: str, group: str | None, labels: Labels) -> None:
        """Adds a sample."""
        if split not in self._parts:
            reason = "the file lies in none of the folders train, valid and test: move it into one of them"
            self.refuse(Refusal(split, labels.file_name, None, None, reason))
            return
        part, mask = self._parts[split], labels.mask
        self._images += 1
        annotations = []
        for region in mask.regions:
            name = self._categories.setdefault(region.value, self._names.get(region.value, str(region.value)))
            if self._selected and name not in self._selected:
                part.dropped[region.value] += 1
                continue
            offset = self._cache.add(Rle(size=[mask.height, mask.width], counts=region.counts))
            annotations.append(Annotation(None, region.value, False, False, self._cache, offset))
        part.samples.append(
            Sample(
                split,
                labels.file_name,
                self._images,
                mask.height,
                mask.width,
                tuple(annotations),
                labels.notes,
                group,
            )
        )

    def parts(self) -> list[SplitAnnotations]:
        """Returns one part a split."""
        return [*self._parts.values()]
