"""Checks every entry of a split's COCO annotation file.

A fault of the whole file raises; faults of single images are collected, so that one run reports them all.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dataset.annotations.annotation_file import Entry, load_annotations
from dataset.annotations.image_entries import name_fault, plain_name, size_fault, size_of
from dataset.annotations.json_values import Identifier, identifier
from dataset.annotations.segmentation import NO_SEGMENTATION, Segmentation, check_segmentation, is_rectangle
from dataset.annotations.segmentation_cache import SegmentationCache
from dataset.annotations.usual_forms import in_coco_form
from dataset.errors import DatasetError, Refusal
from dataset.message_text import escaped, quoted
from dataset.notes import Note, Notes
from dataset.sources.source import Source

_LISTED_CATEGORIES = 10


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object of an image, checked.

    Attributes:
        id: COCO annotation id; None where it has none of use.
        category_id: COCO category id.
        crowd: Whether it stands for a group.
        rectangle: Whether it is a box drawn as a polygon.
        cache: Where its segmentation is kept.
        offset: Where in the cache.
    """

    id: Identifier | None
    category_id: Identifier
    crowd: bool
    rectangle: bool
    cache: SegmentationCache
    offset: int

    @property
    def segmentation(self) -> Segmentation:
        """Its polygons or RLE, read from the cache."""
        return self.cache.read(self.offset)


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its objects, as the annotation file describes it.

    Attributes:
        split: Name of the split.
        file_name: Name of the file, relative to the split's folder.
        image_id: COCO image id.
        height: Height in pixels; 0 where the annotation file does not say.
        width: Width in pixels, or 0.
        annotations: Its objects.
        notes: What was found of its file although the annotation file is not right about it.
        group: The patient or volume that it is of; None where that is not known.
    """

    split: str
    file_name: str
    image_id: Identifier
    height: int
    width: int
    annotations: tuple[Annotation, ...]
    notes: tuple[Note, ...] = ()
    group: str | None = None

    def refuse(self, reason: str, annotation_id: Identifier | None = None) -> Refusal:
        """Returns the record of why this sample cannot be used."""
        return Refusal(self.split, self.file_name, self.image_id, annotation_id, reason)


@dataclass(frozen=True)
class SplitAnnotations:
    """What an annotation file holds.

    Attributes:
        split: Name of the split.
        categories: Name of each category id.
        samples: The samples without faults, in the file's order.
        refused: The faults of the others.
        notes: What was read although it is irregular.
        dropped: How many objects of each category were left out because others were selected.
        boxes: How many objects have a bounding box and nothing else, where that is true of all; else 0.
    """

    split: str
    categories: dict[Identifier, str]
    samples: list[Sample]
    refused: list[Refusal]
    notes: Notes
    dropped: Counter[Identifier]
    boxes: int


def read_annotations(source: Source, split: str, selected: Collection[str] = ()) -> SplitAnnotations:
    """Reads and checks one split's annotation file.

    Args:
        source: Where the data set lies.
        split: Name of the split.
        selected: Names of the categories to read; empty for all.

    Returns:
        The samples, and what was refused. A bad annotation refuses its image: a mask with a part missing is wrong.

    Raises:
        DatasetError: The file cannot be read, is no COCO JSON, or lists no images.
    """
    content = load_annotations(source, split)
    reader = _SplitReader(split, content.categories, selected, content.notes)
    headers = reader.read_images(content.images)
    content.images.clear()  # so that they are not in memory together with the headers made of them
    by_image = reader.read_annotations(content.annotations, headers)
    boxes, bad = reader.only_boxes(), reader.bad_images
    samples = [
        Sample(split, header.file_name, image_id, header.height, header.width, tuple(by_image.get(image_id, ())))
        for image_id, header in headers.items()
        if image_id not in bad
    ]
    return SplitAnnotations(split, content.categories, samples, reader.refused, content.notes, reader.dropped, boxes)


def read_splits(
    source: Source, splits: Iterable[str], selected: Collection[str]
) -> tuple[list[SplitAnnotations], list[str]]:
    """Returns what `read_annotations` reads of each split, and what is wrong with the files that it cannot read."""
    parts: list[SplitAnnotations] = []
    problems: list[str] = []
    for split in splits:
        try:
            parts.append(read_annotations(source, split, selected))
        except DatasetError as error:
            problems += error.problems
    return parts, problems


@dataclass(frozen=True, slots=True)
class _Header:
    """An image's entry; see `Sample`."""

    file_name: str
    height: int
    width: int


class _SplitReader:
    """Checks the entries of one split and collects the faults."""

    def __init__(self, split: str, categories: dict[Identifier, str], selected: Collection[str], notes: Notes) -> None:
        self.split = split
        self.categories = categories
        self.unselected = {key for key, name in categories.items() if selected and name not in selected}
        self.notes = notes
        self.cache = SegmentationCache()
        self.refused: list[Refusal] = []
        self.dropped: Counter[Identifier] = Counter()
        self.bad_images: set[Identifier] = set()
        self.listed: set[Identifier] = set()  # every image id in the file, of bad images too
        self._objects = self._boxes = 0

    def read_images(self, entries: list[Entry]) -> dict[Identifier, _Header]:
        """Returns the images without faults by id; ids and files that occur twice are ambiguous and refused."""
        ids = _repeated(identifier(entry.get("id")) for entry in entries)
        names = _repeated(plain_name(entry.get("file_name")) for entry in entries)
        headers: dict[Identifier, _Header] = {}
        for entry in entries:
            image_id, raw_name = identifier(entry.get("id")), entry.get("file_name")
            name = raw_name if isinstance(raw_name, str) else None
            reason = name_fault(raw_name)
            if image_id is None:
                reason = (
                    f"the image's id is {quoted(entry.get('id'))}, no whole number or short text: number the images"
                )
            elif image_id in ids:
                reason = f"image id {quoted(image_id)} occurs {ids[image_id]} times: give every image its own id"
            elif plain_name(raw_name) in names:
                reason = f"the file is listed {names[plain_name(raw_name)]} times: join its entries into one"
            elif reason is None:
                reason = size_fault(entry)
            if image_id is not None:
                self.listed.add(image_id)
            if reason is not None:
                self._refuse(name, image_id, None, reason)
            elif name is not None and image_id is not None:
                headers[image_id] = _Header(name, *size_of(entry))
                if isinstance(entry["id"], str):
                    self._note(Note.TEXT_ID, name)
        return headers

    def read_annotations(
        self, entries: Iterable[Entry], headers: dict[Identifier, _Header]
    ) -> dict[Identifier, list[Annotation]]:
        """Returns the annotations of every image, and notes the images that have a bad one."""
        by_image: dict[Identifier, list[Annotation]] = defaultdict(list)
        seen: set[Identifier] = set()
        for entry in entries:
            annotation_id, image_id = identifier(entry.get("id")), identifier(entry.get("image_id"))
            if image_id is None or image_id not in self.listed:
                reason = f"the annotation belongs to image {quoted(entry.get('image_id'))}, which is not listed"
                self._refuse(None, image_id, annotation_id, f"{reason}: add the image, or remove the annotation")
                continue
            header = headers.get(image_id)
            if header is None:  # its image is refused already
                continue
            if annotation_id is None or annotation_id in seen:
                kind = Note.NO_ANNOTATION_ID if annotation_id is None else Note.REPEATED_ANNOTATION_ID
                self._note(kind, header.file_name)
            else:
                seen.add(annotation_id)
            try:
                annotation = self._read_annotation(entry, annotation_id, header)
            except ValueError as error:
                self._refuse(header.file_name, image_id, annotation_id, str(error))
                self._boxes += str(error) == NO_SEGMENTATION and _is_box(entry.get("bbox"))
            else:
                if annotation is not None:
                    by_image[image_id].append(annotation)
        return by_image

    def _read_annotation(self, entry: Entry, annotation_id: Identifier | None, header: _Header) -> Annotation | None:
        """Returns the annotation; None if others were selected."""
        category_id = identifier(entry.get("category_id"))
        if category_id is None or category_id not in self.categories:
            known = ", ".join(str(known_id) for known_id in list(self.categories)[:_LISTED_CATEGORIES]) or "none"
            known += ", ..." if len(self.categories) > _LISTED_CATEGORIES else ""
            raise ValueError(
                f"category {quoted(entry.get('category_id'))} is not among the categories ({known}): correct the id"
            )
        if category_id in self.unselected:
            self.dropped[category_id] += 1
            return None
        self._objects += 1
        crowd = entry.get("iscrowd", 0)
        if crowd is None:
            crowd = 0
            self._note(Note.NO_CROWD, header.file_name)
        if crowd not in (0, 1):
            raise ValueError(f"iscrowd is {quoted(crowd)}: write 0 or 1")
        if any(isinstance(entry[key], str) for key in ("image_id", "category_id")):
            self._note(Note.TEXT_ID, header.file_name)
        raw, notes = in_coco_form(entry.get("segmentation"))
        segmentation = check_segmentation(raw, header.height, header.width)
        for note in notes:
            self._note(note, header.file_name)
        offset = self.cache.add(segmentation)
        return Annotation(annotation_id, category_id, bool(crowd), is_rectangle(segmentation), self.cache, offset)

    def only_boxes(self) -> int:
        """Returns the number of objects if all have a bounding box and no outline, else 0; drops these refusals then.

        One sentence about the whole file says more than one about every object.
        """
        if not self._boxes or self._boxes < self._objects:
            return 0
        self.refused = [each for each in self.refused if each.reason != NO_SEGMENTATION]
        return self._boxes

    def _note(self, note: Note, file_name: str) -> None:
        self.notes.add(note, f"{self.split}/{file_name}" if self.split else file_name)

    def _refuse(
        self, name: str | None, image_id: Identifier | None, annotation_id: Identifier | None, reason: str
    ) -> None:
        clean_name = escaped(name) if name is not None else None  # a record that any file and page can hold
        self.refused.append(Refusal(self.split, clean_name, image_id, annotation_id, reason))
        if image_id is not None:
            self.bad_images.add(image_id)


def _is_box(raw: object) -> bool:
    return isinstance(raw, list) and len(raw) == 4


def _repeated(values: Iterable[Identifier | None]) -> dict[Identifier | None, int]:
    return {value: count for value, count in Counter(values).items() if count > 1 and value is not None}
