"""Checks every entry of a split's COCO annotation file.

A fault of the whole file raises; faults of single images are collected, so that one run reports them all.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import TypeVar

from dataset.annotations.annotation_file import Entry, load_annotations
from dataset.annotations.json_values import whole_number
from dataset.annotations.segmentation import Segmentation, check_segmentation, is_rectangle
from dataset.annotations.segmentation_cache import SegmentationCache
from dataset.errors import Refusal
from dataset.images.decode import MAX_PIXELS
from dataset.message_text import escaped, is_clean, quoted
from dataset.sources.source import Source

_Key = TypeVar("_Key", int, str)
_LISTED_CATEGORIES = 10


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object of an image, checked.

    Attributes:
        id: COCO annotation id.
        category_id: COCO category id.
        crowd: Whether it stands for a group.
        rectangle: Whether it is a box drawn as a polygon.
        cache: Where its segmentation is kept.
        offset: Where in the cache.
    """

    id: int
    category_id: int
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
    """One image with its objects, as the annotation file describes it."""

    split: str
    file_name: str
    image_id: int
    height: int
    width: int
    annotations: tuple[Annotation, ...]

    def refuse(self, reason: str, annotation_id: int | None = None) -> Refusal:
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
    """

    split: str
    categories: dict[int, str]
    samples: list[Sample]
    refused: list[Refusal]


def read_annotations(source: Source, split: str) -> SplitAnnotations:
    """Reads and checks one split's annotation file.

    Args:
        source: Where the data set lies.
        split: Name of the split.

    Returns:
        The samples, and what was refused. A bad annotation refuses its image: a mask with a part missing is wrong.

    Raises:
        DatasetError: The file cannot be read, is no COCO JSON, or lists no images.
    """
    content = load_annotations(source, split)
    reader = _SplitReader(split, content.categories)
    headers = reader.read_images(content.images)
    content.images.clear()  # so that they are not in memory together with the headers made of them
    by_image = reader.read_annotations(content.annotations, headers)
    bad = reader.bad_images
    samples = [
        Sample(split, header.file_name, image_id, header.height, header.width, tuple(by_image.get(image_id, ())))
        for image_id, header in headers.items()
        if image_id not in bad
    ]
    return SplitAnnotations(split, content.categories, samples, reader.refused)


@dataclass(frozen=True, slots=True)
class _Header:
    """An image's entry."""

    file_name: str
    height: int
    width: int


class _SplitReader:
    """Checks the entries of one split and collects the faults."""

    def __init__(self, split: str, categories: dict[int, str]) -> None:
        self.split = split
        self.categories = categories
        self.cache = SegmentationCache()
        self.refused: list[Refusal] = []
        self.bad_images: set[int] = set()
        self.listed: set[int] = set()  # every image id in the file, of bad images too

    def read_images(self, entries: list[Entry]) -> dict[int, _Header]:
        """Returns the images without faults by id; ids and files that occur twice are ambiguous and refused."""
        ids = _repeated(whole_number(entry.get("id")) for entry in entries)
        names = _repeated(_plain_name(entry.get("file_name")) for entry in entries)
        headers: dict[int, _Header] = {}
        for entry in entries:
            image_id, raw_name = whole_number(entry.get("id")), entry.get("file_name")
            name = raw_name if isinstance(raw_name, str) else None
            height, width = whole_number(entry.get("height")), whole_number(entry.get("width"))
            reason = name_fault(raw_name)
            if image_id is None:
                reason = f"the image's id is {quoted(entry.get('id'))}, no whole number: number the images"
            elif image_id in ids:
                reason = f"image id {image_id} occurs {ids[image_id]} times: give every image its own id"
            elif _plain_name(raw_name) in names:
                reason = f"the file is listed {names[_plain_name(raw_name)]} times: join its entries into one"
            elif reason is None:
                reason = _size_fault(entry)
            if image_id is not None:
                self.listed.add(image_id)
            if reason is not None:
                self._refuse(name, image_id, None, reason)
            elif name is not None and image_id is not None and height and width:
                headers[image_id] = _Header(name, height, width)
        return headers

    def read_annotations(self, entries: Iterable[Entry], headers: dict[int, _Header]) -> dict[int, list[Annotation]]:
        """Returns the annotations of every image, and notes the images that have a bad one."""
        repeated = _repeated(whole_number(entry.get("id")) for entry in entries)
        by_image: dict[int, list[Annotation]] = defaultdict(list)
        for entry in entries:
            annotation_id, image_id = whole_number(entry.get("id")), whole_number(entry.get("image_id"))
            if image_id is None or image_id not in self.listed:
                reason = f"the annotation belongs to image {quoted(entry.get('image_id'))}, which is not listed"
                self._refuse(None, image_id, annotation_id, f"{reason}: add the image, or remove the annotation")
                continue
            header = headers.get(image_id)
            if header is None:  # its image is refused already
                continue
            try:
                if annotation_id in repeated:
                    raise ValueError(f"annotation id {annotation_id} occurs {repeated[annotation_id]} times: renumber")
                by_image[image_id].append(self._read_annotation(entry, annotation_id, header))
            except ValueError as error:
                self._refuse(header.file_name, image_id, annotation_id, str(error))
        return by_image

    def _read_annotation(self, entry: Entry, annotation_id: int | None, header: _Header) -> Annotation:
        if annotation_id is None:
            raise ValueError(
                f"an annotation's id is {quoted(entry.get('id'))}, no whole number: number the annotations"
            )
        category_id = whole_number(entry.get("category_id"))
        if category_id is None or category_id not in self.categories:
            known = ", ".join(str(known_id) for known_id in list(self.categories)[:_LISTED_CATEGORIES]) or "none"
            known += ", ..." if len(self.categories) > _LISTED_CATEGORIES else ""
            raise ValueError(
                f"category {quoted(entry.get('category_id'))} is not among the categories ({known}): correct the id"
            )
        crowd = entry.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise ValueError(f"iscrowd is {quoted(crowd)}: write 0 or 1")
        segmentation = check_segmentation(entry.get("segmentation"), header.height, header.width)
        offset = self.cache.add(segmentation)
        return Annotation(annotation_id, category_id, bool(crowd), is_rectangle(segmentation), self.cache, offset)

    def _refuse(self, name: str | None, image_id: int | None, annotation_id: int | None, reason: str) -> None:
        clean_name = escaped(name) if name is not None else None  # a record that any file and page can hold
        self.refused.append(Refusal(self.split, clean_name, image_id, annotation_id, reason))
        if image_id is not None:
            self.bad_images.add(image_id)


def name_fault(raw: object) -> str | None:
    """Returns what is wrong with a `file_name`, or None.

    A name must stay within its split's folder, and must not be hidden: the fingerprint ignores hidden files, so a
    change of one would go unnoticed.

    Args:
        raw: The value as read from JSON.

    Returns:
        The fault and its repair, or None.
    """
    if not isinstance(raw, str) or not raw.strip():
        return f"the entry's file_name is {quoted(raw)}: write the image's name"
    if not is_clean(raw):
        return "the entry's file_name holds control characters or half characters: rename the file"
    if PurePosixPath(raw).is_absolute() or PureWindowsPath(raw).is_absolute():
        return "file_name is an absolute path: write it relative to the split's folder"
    parts = (*PurePosixPath(raw).parts, *PureWindowsPath(raw).parts)
    if ".." in parts:
        return "file_name leads out of the split's folder: move the image into it and write the name alone"
    if any(part.startswith(".") for part in parts):
        return "file_name is hidden (begins with a dot): rename the file"
    return None


def _size_fault(entry: Entry) -> str | None:
    """Returns what is wrong with the size of an image, or None; memory of this size will be allocated."""
    height, width = whole_number(entry.get("height")), whole_number(entry.get("width"))
    sizes = f"the entry's width x height is {quoted(entry.get('width'), 20)} x {quoted(entry.get('height'), 20)}"
    if not (height and width and min(height, width) > 0):
        return f"{sizes}: write the image's size in pixels"
    if height * width > MAX_PIXELS:
        return f"{sizes}, more than {MAX_PIXELS // 10**6} million pixels: correct it, or cut the image into tiles"
    return None


def _plain_name(raw: object) -> str | None:
    """Returns one spelling of a name: './a.jpg' and 'a.jpg' are the same file."""
    return str(PurePosixPath(raw)) if isinstance(raw, str) and raw else None


def _repeated(values: Iterable[_Key | None]) -> dict[_Key | None, int]:
    return {value: count for value, count in Counter(values).items() if count > 1 and value is not None}
