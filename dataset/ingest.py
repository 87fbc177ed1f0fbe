"""Turns a COCO folder into a stored data set: decodes, checks and resizes in parallel, writes in order."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import cv2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dataset.annotations.coco import Sample, SplitAnnotations, read_annotations
from dataset.annotations.json_values import Identifier
from dataset.classes import Classes, class_notes, class_warnings, classes_of, unknown_categories
from dataset.cores import usable_cores
from dataset.errors import DatasetError, Refusal, combined_error
from dataset.images.decode import DecodeRequest, ImageError, MissingImageError, read_image_file
from dataset.images.masks import LabelledObject, draw_mask
from dataset.images.resize import resize_image
from dataset.images.true_size import decode_near_size
from dataset.layout import SPLITS
from dataset.manifest import MANIFEST_VERSION, Manifest
from dataset.notes import Note, Notes
from dataset.options import Exif, Interpolation
from dataset.output_folder import new_folder
from dataset.shortages import detection_exports, shortages
from dataset.sources.local_folder import as_source
from dataset.sources.near_names import NearNames
from dataset.sources.source import DataRoot, Source, missing_splits
from dataset.sources.split_names import folders_of_other_names, with_usual_names
from dataset.split_statistics import (
    PreparedSample,
    SplitStatistics,
    category_entries,
    duplicates_across_splits,
    orientation_notes,
    warnings_for,
)
from dataset.store import Dataset, RowWriter, images_file, masks_file


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
    """

    image_size: tuple[int, int]
    channels: int
    multi_class: bool
    skip_bad_samples: bool
    num_workers: int
    categories: tuple[str, ...] = ()
    interpolation: Interpolation = "area"
    exif: Exif = "apply"

    def __post_init__(self) -> None:
        if min(self.image_size) < 1:
            raise ValueError(f"image_size is {self.image_size}: give a height and a width of at least 1")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}: choose 1 (gray) or 3 (colour)")
        if self.num_workers < 0:
            raise ValueError(f"num_workers is {self.num_workers}: choose 0 (all cores) or more")
        for name, allowed in (("interpolation", get_args(Interpolation)), ("exif", get_args(Exif))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}: choose from {', '.join(allowed)}")


def ingest(root: DataRoot, folder: Path, options: IngestOptions) -> Dataset:
    """Reads the COCO folder `root` and stores it in `folder`, which appears whole or not at all.

    Memory does not grow with the number of images: a bounded window of them is decoded at a time.

    Args:
        root: A folder, or another source, with train, valid and test; each with `_annotations.coco.json` and its
            images.
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
    folders = folders_of_other_names(source)
    source = with_usual_names(source)
    parts, problems = _read_splits(source, options.categories)
    for part in parts:
        if part.split in folders:
            part.notes.add(Note.SPLIT_FOLDER, f"{folders[part.split]} for {part.split}")
    classes = classes_of(parts, options.multi_class, problems)
    # If there are problems already, samples are read only to find more of them.
    labels = classes.values if not problems else None

    names = NearNames(source, {part.split: _listed_names(part) for part in parts})

    def prepare(sample: Sample) -> PreparedSample | Refusal:
        return _prepare(source, sample, labels, options, names)

    with new_folder(folder) as partial, _plain_opencv():
        statistics: dict[str, SplitStatistics] = {}
        refused: list[Refusal] = []
        with _progress_bar() as progress, ThreadPoolExecutor(options.num_workers or usable_cores()) as pool:
            for part in parts:
                refused += part.refused
                rows = _in_order(pool, prepare, part.samples)
                tracked = progress.track(rows, total=len(part.samples), description=part.split)
                statistics[part.split] = _store_split(partial, part.split, tracked, refused, options)
        blocking = [] if options.skip_bad_samples else refused
        at_fault = {refusal.split for refusal in blocking} | {part.split for part in parts if part.boxes}
        if unknown_categories(parts, options.categories):  # nothing is read of them, which is told already
            at_fault.add("train")
        problems += shortages(source, statistics, refused, at_fault)
        if problems or blocking:
            named = [replace(each, split=folders.get(each.split, each.split)) for each in blocking]
            raise combined_error(problems, named)
        _describe(parts, statistics, classes, refused, options).save(partial)


def _read_splits(source: Source, categories: Sequence[str]) -> tuple[list[SplitAnnotations], list[str]]:
    """Returns the content of the annotation files that can be read, and what is wrong with the others."""
    missing, sentence = missing_splits(source)
    parts: list[SplitAnnotations] = []
    problems = [sentence] if missing else []
    for split in SPLITS:
        if split not in missing:
            try:
                parts.append(read_annotations(source, split, categories))
            except DatasetError as error:
                problems += error.problems
    problems += detection_exports(source, parts)
    return parts, problems + unknown_categories(parts, categories)


def _listed_names(part: SplitAnnotations) -> list[str]:
    """Returns the file names of all entries, of refused ones too: a file that one names is not another's."""
    refused = [refusal.file_name for refusal in part.refused if refusal.file_name is not None]
    return [*(sample.file_name for sample in part.samples), *refused]


def _prepare(
    source: Source,
    sample: Sample,
    labels: dict[Identifier, int] | None,
    options: IngestOptions,
    names: NearNames,
) -> PreparedSample | Refusal:
    """Reads, draws and resizes one sample; runs in a worker thread."""
    name = f"{sample.split}/{sample.file_name}"
    if source.lies_outside(name):
        return sample.refuse("the file is a link that leads out of the data set's folder: copy the image into it")
    try:
        data = read_image_file(source, name)
    except MissingImageError:
        meant = names.file_of(sample.split, sample.file_name)
        if meant is None:
            return sample.refuse(f"the image file is missing: {names.advice(sample.split, sample.file_name)}")
        found = replace(sample, file_name=meant, notes=(*sample.notes, Note.NAME))
        return _prepare(source, found, labels, options, names)
    except ImageError as error:
        return sample.refuse(str(error))
    average_to = options.image_size if options.interpolation == "area" else None
    request = DecodeRequest(sample.height, sample.width, options.channels, average_to, options.exif)
    try:
        sample, decoded = decode_near_size(data, request, sample)
    except ImageError as error:
        return sample.refuse(str(error))
    shapes = [
        LabelledObject(annotation.segmentation, 1 if labels is None else labels[annotation.category_id])
        for annotation in sample.annotations
    ]
    drawn = draw_mask(shapes, (sample.height, sample.width), options.image_size)
    image = resize_image(decoded.pixels, *options.image_size, options.interpolation)
    return PreparedSample.of(sample, image, decoded.rescaled, drawn, decoded.taken)


def _in_order(
    pool: ThreadPoolExecutor, prepare: Callable[[Sample], PreparedSample | Refusal], samples: Sequence[Sample]
) -> Iterator[PreparedSample | Refusal]:
    """Yields the results in the samples' order, with few of them in memory at a time."""
    window = 4 * usable_cores()
    waiting: deque[Future[PreparedSample | Refusal]] = deque()
    try:
        for sample in samples:
            waiting.append(pool.submit(prepare, sample))
            if len(waiting) >= window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:  # after an error the rest is not needed
            future.cancel()


def _store_split(
    folder: Path, split: str, rows: Iterable[PreparedSample | Refusal], refused: list[Refusal], options: IngestOptions
) -> SplitStatistics:
    """Writes a split's arrays; appends to `refused` what cannot be stored."""
    statistics = SplitStatistics()
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
    return statistics


def _describe(
    parts: Sequence[SplitAnnotations],
    statistics: dict[str, SplitStatistics],
    classes: Classes,
    refused: list[Refusal],
    options: IngestOptions,
) -> Manifest:
    splits = {split: statistics[split].summary() for split in SPLITS}
    categories = category_entries(parts, statistics)
    duplicates = duplicates_across_splits(statistics)
    warnings = warnings_for(splits, categories, duplicates, refused, options.image_size)
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
        duplicates_across_splits=duplicates,
        refused=refused,
        warnings=[*warnings, *class_warnings(classes, categories), *orientation_notes(splits)],
        notes=[*class_notes(classes, parts), *notes.sentences()],
        interpolation=options.interpolation,
    )


def _progress_bar() -> Progress:
    """Returns a bar with one line per split, count and remaining time; silent if standard error is no terminal."""
    columns = (TextColumn("{task.description:>6}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


@contextmanager
def _plain_opencv() -> Iterator[None]:
    """Keeps OpenCV from printing about damaged files, which we report, and from starting threads within our threads."""
    level, threads = cv2.utils.logging.getLogLevel(), cv2.getNumThreads()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
        cv2.setNumThreads(threads)
