"""Reads the COCO annotation file of a split and checks every entry.

What concerns the whole file raises; what concerns one image is collected, so that one run reports all of it.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

from dataset.errors import DatasetError, Refusal
from dataset.folders import ANNOTATION_FILE
from dataset.segmentation import Segmentation, check_segmentation

_Key = TypeVar("_Key", int, str)


@dataclass(frozen=True)
class Annotation:
    """One object of an image, checked."""

    id: int
    category_id: int
    segmentation: Segmentation
    crowd: bool


@dataclass(frozen=True)
class Sample:
    """One image with its objects, as the annotation file describes it."""

    split: str
    file_name: str
    image_id: int
    height: int
    width: int
    annotations: tuple[Annotation, ...]

    def refuse(self, reason: str, annotation_id: int | None = None) -> Refusal:
        """Says why this sample cannot be used."""
        return Refusal(self.split, self.file_name, self.image_id, annotation_id, reason)


@dataclass(frozen=True)
class SplitAnnotations:
    """What an annotation file holds.

    Attributes:
        split: Name of the split.
        categories: Name of each category id.
        samples: The samples without fault, in the file's order.
        refused: The faults of all others.
    """

    split: str
    categories: dict[int, str]
    samples: list[Sample]
    refused: list[Refusal]


def read_annotations(root: Path, split: str) -> SplitAnnotations:
    """Reads and checks one split's annotation file.

    Args:
        root: The data set's folder.
        split: Name of the split.

    Returns:
        The samples, and what was refused. A bad annotation refuses its image: a mask with a part missing is wrong.

    Raises:
        DatasetError: The file cannot be read, is no COCO JSON, or lists no images.
    """
    path = root / split / ANNOTATION_FILE
    content = _load(path)
    images = _entries(content, "images", path)
    annotations = _entries(content, "annotations", path)
    categories = _read_categories(_entries(content, "categories", path), path)
    if not images:
        raise DatasetError(f"{path} lists no images: every split needs at least one")
    reader = _SplitReader(split, categories)
    headers = reader.read_images(images)
    by_image = reader.read_annotations(annotations, headers)
    bad = reader.bad_images
    samples = [
        Sample(split, header.file_name, image_id, header.height, header.width, tuple(by_image.get(image_id, ())))
        for image_id, header in headers.items()
        if image_id not in bad
    ]
    return SplitAnnotations(split, categories, samples, reader.refused)


def _load(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise DatasetError(f"{path} is not JSON ({error}): export the annotations again") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds a JSON {type(content).__name__}, not a COCO object: export it again")
    return content


def _entries(content: dict[str, object], key: str, path: Path) -> list[dict[str, object]]:
    entries = content.get(key)
    if not isinstance(entries, list):
        raise DatasetError(f"{path} has no list '{key}': export the annotations in COCO format")
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DatasetError(f"{path}: {key}[{i}] is {entry!r:.60}, not an object: export it in COCO format")
    return entries


def _read_categories(entries: list[dict[str, object]], path: Path) -> dict[int, str]:
    categories: dict[int, str] = {}
    for i, entry in enumerate(entries):
        category_id, name = _whole(entry.get("id")), entry.get("name")
        if category_id is None or not isinstance(name, str):
            raise DatasetError(f"{path}: categories[{i}] needs a whole number 'id' and a text 'name': correct it")
        if category_id in categories:
            raise DatasetError(f"{path}: category id {category_id} occurs twice: give each category its own id")
        categories[category_id] = name
    return categories


@dataclass(frozen=True)
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
        self.refused: list[Refusal] = []
        self.bad_images: set[int] = set()
        self.listed: set[int] = set()  # every image id in the file, of bad images too

    def read_images(self, entries: list[dict[str, object]]) -> dict[int, _Header]:
        """Gives the sound images by id; ids and files that occur twice are ambiguous and refused."""
        ids = _repeated(_whole(entry.get("id")) for entry in entries)
        names = _repeated(_plain_name(entry.get("file_name")) for entry in entries)
        headers: dict[int, _Header] = {}
        for entry in entries:
            image_id, raw_name = _whole(entry.get("id")), entry.get("file_name")
            name = raw_name if isinstance(raw_name, str) else None
            height, width = _whole(entry.get("height")), _whole(entry.get("width"))
            reason = name_fault(raw_name)
            if image_id is None:
                reason = f"the image's id is {entry.get('id')!r:.40}, no whole number: number the images"
            elif image_id in ids:
                reason = f"image id {image_id} occurs {ids[image_id]} times: give every image its own id"
            elif _plain_name(raw_name) in names:
                reason = f"the file is listed {names[_plain_name(raw_name)]} times: join its entries into one"
            elif reason is None and not (height and width and min(height, width) > 0):
                sizes = f"{entry.get('width')!r:.20} x {entry.get('height')!r:.20}"
                reason = f"the entry's width x height is {sizes}: write the image's size in pixels"
            if image_id is not None:
                self.listed.add(image_id)
            if reason is not None:
                self._refuse(name, image_id, None, reason)
            elif name is not None and image_id is not None and height and width:
                headers[image_id] = _Header(name, height, width)
        return headers

    def read_annotations(
        self, entries: list[dict[str, object]], headers: dict[int, _Header]
    ) -> dict[int, list[Annotation]]:
        """Gives the annotations of every image, and notes the images that have a bad one."""
        repeated = _repeated(_whole(entry.get("id")) for entry in entries)
        by_image: dict[int, list[Annotation]] = defaultdict(list)
        for entry in entries:
            annotation_id, image_id = _whole(entry.get("id")), _whole(entry.get("image_id"))
            if image_id is None or image_id not in self.listed:
                reason = f"the annotation belongs to image {entry.get('image_id')!r:.40}, which is not listed"
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

    def _read_annotation(self, entry: dict[str, object], annotation_id: int | None, header: _Header) -> Annotation:
        if annotation_id is None:
            raise ValueError(f"an annotation's id is {entry.get('id')!r:.40}, no whole number: number the annotations")
        category_id = _whole(entry.get("category_id"))
        if category_id is None or category_id not in self.categories:
            known = ", ".join(str(known_id) for known_id in self.categories) or "none"
            raise ValueError(
                f"category {entry.get('category_id')!r:.40} is not among the categories ({known}): correct the id"
            )
        crowd = entry.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise ValueError(f"iscrowd is {crowd!r:.40}: write 0 or 1")
        segmentation = check_segmentation(entry.get("segmentation"), header.height, header.width)
        return Annotation(annotation_id, category_id, segmentation, bool(crowd))

    def _refuse(self, name: str | None, image_id: int | None, annotation_id: int | None, reason: str) -> None:
        self.refused.append(Refusal(self.split, name, image_id, annotation_id, reason))
        if image_id is not None:
            self.bad_images.add(image_id)


def name_fault(raw: object) -> str | None:
    """Says what is wrong with a `file_name`, or None.

    A name must stay within its split's folder, and must not be hidden: the fingerprint ignores hidden files, so a
    change of one would go unnoticed.

    Args:
        raw: The value as read from JSON.

    Returns:
        The fault and its repair, or None.
    """
    if not isinstance(raw, str) or not raw or "\0" in raw:
        return f"the entry's file_name is {raw!r:.40}: write the image's name"
    if PurePosixPath(raw).is_absolute() or PureWindowsPath(raw).is_absolute():
        return "file_name is an absolute path: write it relative to the split's folder"
    parts = (*PurePosixPath(raw).parts, *PureWindowsPath(raw).parts)
    if ".." in parts:
        return "file_name leads out of the split's folder: move the image into it and write the name alone"
    if any(part.startswith(".") for part in parts):
        return "file_name is hidden (begins with a dot): rename the file"
    return None


def _plain_name(raw: object) -> str | None:
    """Gives one spelling of a name: './a.jpg' and 'a.jpg' are one file."""
    return str(PurePosixPath(raw)) if isinstance(raw, str) and raw else None


def _whole(raw: object) -> int | None:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def _repeated(values: Iterable[_Key | None]) -> dict[_Key | None, int]:
    return {value: count for value, count in Counter(values).items() if count > 1 and value is not None}
