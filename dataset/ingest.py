"""Turns a data set into stored arrays: recognises its layout, checks and resizes in threads, writes in order."""

import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dataset.annotations.classes import Classes, class_notes, class_warnings, classes_of, unknown_categories
from dataset.annotations.coco import Sample, SplitAnnotations
from dataset.annotations.json_values import Identifier
from dataset.annotations.shortages import shortages
from dataset.cores import in_order, usable_cores
from dataset.errors import Refusal, combined_error
from dataset.group_warnings import Told, name_patients, partly_known
from dataset.groups import group_noun, row_noun
from dataset.images.decode import DecodeRequest
from dataset.images.masks import LabelledObject, draw_mask
from dataset.images.opencv_settings import plain_opencv
from dataset.images.resize import resize_image
from dataset.layout import SPLITS
from dataset.layouts.divide import check_splits, divide_part, division, shares_missed
from dataset.layouts.layout import ImageReader, Layout, Wanted
from dataset.layouts.recognise import recognise
from dataset.leaks.across_splits import find_leaks
from dataset.manifest import MANIFEST_VERSION, Manifest
from dataset.notes import Notes
from dataset.options import Exif, Format, Interpolation, Shares, check_pattern, check_shares
from dataset.sources.local_folder import as_source
from dataset.sources.source import DataRoot, Source
from dataset.split_statistics import (
    PreparedSample,
    SplitStatistics,
    category_entries,
    orientation_notes,
    warnings_for,
)
from dataset.store import Dataset, RowWriter, images_file, masks_file, new_folder


@dataclass(frozen=True)
class IngestOptions:
    """How a data set is stored.

    Attributes:
        image_size: Height and width of the stored images and masks.
        channels: 1 for gray, 3 for red, green, blue.
        multi_class: Masks hold 1 to K for the K categories in use, by increasing id, instead of 1 for all of them.
        skip_bad_samples: Leave out samples with faults and list them in the manifest, instead of raising.
        num_workers: Threads; 0 for as many as cores may be used.
        categories: Names of the categories to read; empty for all. Objects of others are dropped and counted.
        interpolation: How images are resized; see `dataset.images.resize`.
        exif: Whether images with an orientation tag are turned where their annotated size does not tell.
        split: Shares of train, valid and test, for data without splits.
        split_seed: Seed of that division.
        group_by: Pattern that names the patient of a file; see `dataset.groups.group_of`.
        format: The family of layouts that the data set has.
        axis: The axis of the stored array along which volumes are cut.
        modality: Which image is read where a mask has several.
    """

    image_size: tuple[int, int]
    channels: int
    multi_class: bool
    skip_bad_samples: bool
    num_workers: int
    categories: tuple[str, ...] = ()
    interpolation: Interpolation = "area"
    exif: Exif = "apply"
    split: Shares | None = None
    split_seed: int = 0
    group_by: str | None = None
    format: Format = "auto"
    axis: int = 2
    modality: str | None = None

    def __post_init__(self) -> None:
        if min(self.image_size) < 1:
            raise ValueError(f"image_size is {self.image_size}: give a height and a width of at least 1")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}: choose 1 (gray) or 3 (colour)")
        if self.num_workers < 0:
            raise ValueError(f"num_workers is {self.num_workers}: choose 0 (all cores) or more")
        for name, kind in (("interpolation", Interpolation), ("exif", Exif), ("format", Format)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name} is {getattr(self, name)!r}: choose from {', '.join(get_args(kind))}")
        if self.axis not in (0, 1, 2):
            raise ValueError(f"axis is {self.axis}: choose 0, 1 or 2")
        if self.split is not None:
            check_shares(self.split)
        if self.group_by is not None:
            check_pattern(self.group_by)


def ingest(root: DataRoot, folder: Path, options: IngestOptions) -> Dataset:
    """Reads the data set in `root` and stores it in `folder`, which appears whole or not at all.

    Memory does not grow with the number of images: a bounded window of them is decoded at a time, and of volumes one a
    thread.

    Args:
        root: A folder, or another source, with a data set in one of the layouts of `dataset.layouts.recognise`.
        folder: Where to store; absent or empty.
        options: How to store.

    Returns:
        The stored data set, opened.

    Raises:
        DatasetError: The structure is wrong, or samples are, unless `options.skip_bad_samples`; all in one message.
    """
    _write(as_source(root), Path(folder), options)
    return Dataset.open(Path(folder))  # what writing held in memory is free by now


def _write(source: Source, folder: Path, options: IngestOptions) -> None:
    """Stores the data set; see `ingest`."""
    source.check()
    layout = recognise(source, Wanted(options.format, options.axis, options.modality, options.num_workers))
    check_splits(layout, options.split)
    if not layout.usual:
        _say(f"read as {layout.sentence}")
    parts, problems = layout.read(options.categories)
    told = name_patients(layout, parts, options.group_by)
    for line in (*(f"warning: {each}" for each in told.warnings), *(f"note: {each}" for each in told.notes)):
        _say(line)
    problems += told.problems
    if options.split is not None:
        noun = group_noun(layout, options.group_by)
        parts = divide_part(parts, problems, options.split, options.split_seed, options.skip_bad_samples, noun)
    problems += unknown_categories(parts, options.categories)
    classes = classes_of(parts, options.multi_class, problems)
    # If there are problems already, samples are read only to find more of them.
    labels = classes.values if not problems else None
    reader = layout.images(parts)

    def prepare(samples: Sequence[Sample]) -> list[PreparedSample | Refusal]:
        return _prepare(reader, samples, labels, options)

    with new_folder(folder) as partial, plain_opencv():
        statistics: dict[str, SplitStatistics] = {}
        refused: list[Refusal] = []
        with _progress_bar() as progress, ThreadPoolExecutor(options.num_workers or usable_cores()) as pool:
            for part in parts:
                refused += part.refused
                rows = chain.from_iterable(in_order(pool, prepare, reader.batches(part.samples), layout.window))
                tracked = progress.track(rows, total=len(part.samples), description=part.split)
                statistics[part.split] = SplitStatistics(layout.folders.get(part.split, part.split))
                _store_split(partial, part.split, tracked, refused, options, statistics[part.split])
        blocking = [] if options.skip_bad_samples else refused
        at_fault = {refusal.split for refusal in blocking} | {part.split for part in parts if part.boxes}
        if unknown_categories(parts, options.categories):  # nothing is read of them, which is told already
            at_fault.add("train")
        problems += shortages(layout.source, statistics, refused, at_fault)
        if problems or blocking:
            raise combined_error(problems, _named(blocking, layout))
        manifest = _with_layout(_describe(parts, statistics, classes, refused, options, layout), layout, told, options)
        manifest.save(partial)
    for warning in manifest.warnings[len(told.warnings) :]:  # before a training that may take hours
        _say(f"warning: {warning}")


def _say(line: str) -> None:
    Console(stderr=True).print(line, highlight=False, markup=False, soft_wrap=True)


def _named(refused: Sequence[Refusal], layout: Layout) -> list[Refusal]:
    """Returns refusals whose places are those that a user sees, whatever the split."""
    return [replace(each, split=layout.folders.get(each.split, each.split)) for each in refused]


def _prepare(
    reader: ImageReader, samples: Sequence[Sample], labels: dict[Identifier, int] | None, options: IngestOptions
) -> list[PreparedSample | Refusal]:
    """Reads, draws and resizes the samples that are read together; runs in a worker thread."""
    average_to = options.image_size if options.interpolation == "area" else None
    request = DecodeRequest(0, 0, options.channels, average_to, options.exif)
    prepared: list[PreparedSample | Refusal] = []
    for read in reader.decode(samples, request):
        if isinstance(read, Refusal):
            prepared.append(read)
            continue
        sample, decoded = read
        shapes = [
            LabelledObject(annotation.segmentation, 1 if labels is None else labels[annotation.category_id])
            for annotation in sample.annotations
        ]
        drawn = draw_mask(shapes, (sample.height, sample.width), options.image_size)
        image = resize_image(decoded.pixels, *options.image_size, options.interpolation)
        prepared.append(PreparedSample.of(sample, image, decoded.rescaled, drawn, decoded.taken))
    return prepared


def _store_split(
    folder: Path,
    split: str,
    rows: Iterable[PreparedSample | Refusal],
    refused: list[Refusal],
    options: IngestOptions,
    statistics: SplitStatistics,
) -> None:
    """Writes a split's arrays, and counts what they hold; appends to `refused` what cannot be stored."""
    height, width = options.image_size
    with (
        RowWriter(images_file(folder, split), (height, width, options.channels)) as images,
        RowWriter(masks_file(folder, split), (height, width)) as masks,
    ):
        for row in rows:
            if isinstance(row, Refusal):
                refused.append(row)
                continue
            images.append(row.image)
            masks.append(row.mask)
            statistics.add(row)


def _describe(
    parts: Sequence[SplitAnnotations],
    statistics: dict[str, SplitStatistics],
    classes: Classes,
    refused: list[Refusal],
    options: IngestOptions,
    layout: Layout,
) -> Manifest:
    splits = {split: statistics[split].summary() for split in SPLITS}
    categories = category_entries(parts, statistics)
    leaks, noun = find_leaks(statistics), group_noun(layout, options.group_by)
    warnings = warnings_for(splits, categories, _named(refused, layout), options.image_size)
    notes = Notes()
    for part in parts:
        notes.update(part.notes)
        notes.update(statistics[part.split].notes)
    return Manifest(
        version=MANIFEST_VERSION,
        image_size=options.image_size,
        channels=options.channels,
        multi_class=options.multi_class,
        classes=classes.entries,
        categories=categories,
        splits=splits,
        duplicates_across_splits=leaks.duplicates,
        near_duplicates=leaks.near_duplicates,
        shared_groups=leaks.shared_groups,
        refused=refused,
        warnings=[
            *warnings,
            *leaks.warnings(splits, layout.folders, noun),
            *partly_known([sample for split in splits.values() for sample in split.samples]),
            *class_warnings(classes, categories),
            *orientation_notes(splits),
        ],
        notes=[*class_notes(classes, parts), *notes.sentences()],
        interpolation=options.interpolation,
        group_noun=noun,
    )


def _with_layout(manifest: Manifest, layout: Layout, told: Told, options: IngestOptions) -> Manifest:
    """Returns the manifest with what is told of layout, patients and division before all else."""
    warnings, notes = [*told.warnings], [] if layout.usual else [f"the data set was read as {layout.sentence}"]
    notes += told.notes
    if options.split is not None:
        noun, row = group_noun(layout, options.group_by), row_noun(layout)
        warnings += shares_missed(manifest.splits, options.split, noun, row)
        notes.append(division(manifest.splits, options.split, options.split_seed, noun, row))
    return replace(
        manifest,
        layout=layout.sentence,
        warnings=[*warnings, *manifest.warnings],
        notes=[*notes, *manifest.notes],
    )


def _progress_bar() -> Progress:
    """Returns a bar with one line per split, count and remaining time; silent if standard error is no terminal."""
    columns = (TextColumn("{task.description:>6}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
