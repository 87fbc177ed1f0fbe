"""Reads a split's annotation file and checks what concerns all samples: JSON, the three lists, the categories."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from dataset.annotations.json_stream import stream_lists
from dataset.annotations.json_values import Identifier, identifier, is_finite
from dataset.errors import DatasetError, combined_error
from dataset.layout import ANNOTATION_FILE
from dataset.message_text import is_clean, quoted
from dataset.notes import Note, Notes
from dataset.sources.source import Source, cannot_read

Entry: TypeAlias = dict[str, object]
_READ_KEYS = ("id", "file_name", "height", "width", "name")  # of images and categories
_LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class AnnotationFile:
    """What a COCO file holds; each entry is known to be a JSON object, its values are not checked yet.

    Attributes:
        images: One entry per image, at least one.
        annotations: One entry per object. Read from the file on each iteration: they are most of the file.
        categories: Name of each category id.
        notes: What was read although it is irregular.
    """

    images: list[Entry]
    annotations: Iterable[Entry]
    categories: dict[Identifier, str]
    notes: Notes


def load_annotations(source: Source, split: str) -> AnnotationFile:
    """Reads one split's annotation file.

    Args:
        source: Where the data set lies.
        split: Name of the split.

    Returns:
        Its content.

    Raises:
        DatasetError: The file is missing, cannot be read, is not COCO JSON, or lists no images; names every fault.
    """
    name = f"{split}/{ANNOTATION_FILE}"
    if source.lies_outside(name):
        raise DatasetError(
            f"{source.location(name)} is a link that leads out of the data set's folder: copy the file into it"
        )
    return _streamed(source, name) or _loaded(source, name)


def _streamed(source: Source, file_name: str) -> AnnotationFile | None:
    """Reads a file without faults in little memory; returns None for any other, whose faults `_loaded` reports."""
    images: list[Entry] = []
    categories: list[Entry] = []
    kept = {"images": images, "categories": categories}
    try:
        with source.open(file_name) as file:
            for name, entry in stream_lists(file, _LISTS, _object):
                if not isinstance(entry, dict):
                    return None
                if name in kept:
                    kept[name].append({key: entry[key] for key in _READ_KEYS if key in entry})
    except (OSError, ValueError, RecursionError):
        return None
    problems: list[str] = []
    notes = Notes()
    names = _read_categories(categories, source.location(file_name), problems, notes)
    return None if problems or not images else AnnotationFile(images, _Annotations(source, file_name), names, notes)


@dataclass(frozen=True)
class _Annotations:
    """The annotations of a file that has been checked to be JSON of the right form, read again on each iteration."""

    source: Source
    file_name: str

    def __iter__(self) -> Iterator[Entry]:
        place = self.source.location(self.file_name)
        try:
            with self.source.open(self.file_name) as file:
                for name, entry in stream_lists(file, _LISTS, _object):
                    if name == "annotations" and isinstance(entry, dict):
                        yield entry
        except OSError as error:
            raise cannot_read(place, error) from error
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{place} was changed while it was read; run again") from error


def _loaded(source: Source, file_name: str) -> AnnotationFile:
    content, path = _load(source, file_name), source.location(file_name)
    problems: list[str] = []
    images = _entries(content, "images", path, problems)
    annotations = _entries(content, "annotations", path, problems)
    notes = Notes()
    categories = _read_categories(_entries(content, "categories", path, problems), path, problems, notes)
    if not images and not problems:
        problems.append(f"{path} lists no images: every split needs at least one")
    if problems:
        raise combined_error(problems)
    return AnnotationFile(images, annotations, categories, notes)


def _load(source: Source, file_name: str) -> Entry:
    path = source.location(file_name)
    try:
        data = source.read(file_name)
    except FileNotFoundError as error:
        split, _, name = file_name.partition("/")
        folder = source.location(split)
        raise DatasetError(f"{folder} has no {name}: export the annotations in COCO format there") from error
    except OSError as error:
        raise cannot_read(path, error) from error
    if not data.strip():
        raise DatasetError(f"{path} is empty, so it is not JSON: export the annotations again")
    try:
        content = json.loads(data, object_pairs_hook=_object)
    except RecursionError as error:
        raise DatasetError(f"{path} is not JSON of use (nested too deep): export the annotations again") from error
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        reason = "a number has thousands of digits" if "set_int_max_str_digits" in str(error) else error
        raise DatasetError(f"{path} is not JSON of use ({reason}): export the annotations again") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds a JSON {type(content).__name__}, not a COCO object: export it again")
    return content


def _object(pairs: list[tuple[str, object]]) -> Entry:
    """Builds an object; refuses a key that occurs twice, of which some readers use the first value, some the last."""
    entry = dict(pairs)
    if len(entry) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {quoted(twice)} occurs twice in one object")
    return entry


def _entries(content: Entry, key: str, path: str, problems: list[str]) -> list[Entry]:
    """Returns the entries of a list that are objects; appends what is wrong to `problems`."""
    entries = content.get(key)
    if not isinstance(entries, list):
        problems.append(f"{path} has no list '{key}': export the annotations in COCO format")
        return []
    wrong = [i for i, entry in enumerate(entries) if not isinstance(entry, dict)]
    problems += [f"{path}: {key}[{i}] is {quoted(entries[i])}, not an object: export it in COCO format" for i in wrong]
    return [entry for entry in entries if isinstance(entry, dict)]


def _read_categories(entries: list[Entry], path: str, problems: list[str], notes: Notes) -> dict[Identifier, str]:
    categories: dict[Identifier, str] = {}
    for i, entry in enumerate(entries):
        category_id, name = identifier(entry.get("id")), entry.get("name")
        if is_finite(name):
            name = str(name)
            notes.add(Note.NUMERIC_NAME, f"category {name}")
        if category_id is None or not isinstance(name, str):
            problems.append(f"{path}: categories[{i}] needs a number or text as 'id' and a text 'name': correct it")
        elif not is_clean(name):
            problems.append(f"{path}: categories[{i}]: the name {quoted(name)} holds control characters: rename it")
        elif category_id in categories:
            problems.append(f"{path}: category id {category_id} occurs twice: give each category its own id")
        else:
            categories[category_id] = name
    return categories
