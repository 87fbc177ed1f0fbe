"""Which categories become which values of the masks, and what a user should know about that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dataset.annotations.coco import SplitAnnotations
from dataset.annotations.json_values import Identifier
from dataset.layout import SPLITS
from dataset.manifest import CategoryEntry, ClassEntry
from dataset.message_text import quoted, shortened

_MAX_CLASSES = 255  # values of a mask's byte without the background
_LISTED = 10  # categories in a sentence


@dataclass(frozen=True)
class Classes:
    """What the values of the masks stand for.

    Attributes:
        entries: One a value, background first; no two categories have the same name.
        values: The mask's value of each category in use, by the category's id.
    """

    entries: list[ClassEntry]
    values: dict[Identifier, int]


def unknown_categories(parts: Sequence[SplitAnnotations], selected: Sequence[str]) -> list[str]:
    """Returns the sentence about selected categories that no annotation file has; empty where all exist."""
    known = sorted({name for part in parts for name in part.categories.values()})
    unknown = [name for name in selected if name not in known]
    if not unknown or len(parts) < len(SPLITS):  # a file that cannot be read may have them
        return []
    return [f"categories: there is no {_listed(unknown)}: choose from {_listed(known) or 'none'}"]


def classes_of(parts: Sequence[SplitAnnotations], multi_class: bool, problems: list[str]) -> Classes:
    """Numbers the categories in use without gaps, so that a network has no output without training examples.

    Categories of the same name are one class.

    Args:
        parts: The annotation files that could be read.
        multi_class: Whether each category has a value of its own.
        problems: What makes that impossible is appended; the values must not be used then.
    """
    names: dict[Identifier, str] = {}
    all_names: dict[str, None] = {}  # in order, each once
    for part in parts:
        used = {annotation.category_id for sample in part.samples for annotation in sample.annotations}
        for category_id in in_order(used):
            name = part.categories[category_id]
            all_names[name] = None
            if names.setdefault(category_id, name) != name and multi_class:
                problems.append(
                    f"category {category_id} is {names[category_id]!r} in one split and {name!r} in {part.split}: "
                    "give the categories the same ids in all annotation files"
                )
    background = ClassEntry(0, None, "background", [])
    if not multi_class:
        return Classes([background, ClassEntry(1, None, "object", [*all_names])], dict.fromkeys(names, 1))
    own: dict[str, ClassEntry] = {}
    for key in in_order(names):
        own.setdefault(names[key], ClassEntry(len(own) + 1, key, names[key], [names[key]]))
    if not 1 <= len(own) <= _MAX_CLASSES and len(parts) == len(SPLITS):
        problems.append(f"multi_class needs 1 to 255 categories in use, found {len(own)}: correct the annotations")
    return Classes([background, *own.values()], {key: own[name].index for key, name in names.items()})


def in_order(ids: Iterable[Identifier]) -> list[Identifier]:
    """Returns ids in increasing order, numbers before texts."""
    return sorted(ids, key=lambda each: (isinstance(each, str), each))


def class_notes(classes: Classes, parts: Sequence[SplitAnnotations]) -> list[str]:
    """Returns sentences about categories that became one, and about objects that were not selected."""
    found = [
        f"the categories {_listed(entry.categories)} are one class: mask value {entry.index} is an object of any of "
        "them (--multi_class keeps them apart, --categories selects)"
        for entry in classes.entries
        if len(entry.categories) > 1
    ]
    found += [
        f"the categories {_listed(ids)} have the same name, {quoted(entry.name)}: they are one class, mask value "
        f"{entry.index}"
        for entry in classes.entries
        if len(ids := _ids(classes, entry)) > 1 and entry.category_id is not None
    ]
    dropped: dict[str, int] = {}
    for part in parts:
        for key, count in part.dropped.items():
            dropped[part.categories[key]] = dropped.get(part.categories[key], 0) + count
    if dropped:
        each = ", ".join(f"{quoted(name)} {count}" for name, count in sorted(dropped.items())[:_LISTED])
        found.append(f"{sum(dropped.values())} objects of categories that were not selected were left out: {each}")
    return found


def class_warnings(classes: Classes, categories: Sequence[CategoryEntry]) -> list[str]:
    """Returns which classes have no object in a split, by name; what all classes lack is told elsewhere."""
    counts: Mapping[Identifier, Mapping[str, int]] = {entry.id: entry.annotations for entry in categories}
    found = []
    for entry in classes.entries:
        if entry.category_id is None:
            continue
        own = [counts[key] for key in _ids(classes, entry)]
        lacking = [split for split in own[0] if not any(count[split] for count in own)]
        if "train" in lacking:
            found.append(f"class {quoted(entry.name)} has no object in train: no network can learn it")
        if tested := [split for split in lacking if split != "train"]:
            found.append(
                f"class {quoted(entry.name)} has no object in {' and '.join(tested)}: nothing tells how well "
                "it is found there"
            )
    return found


def _ids(classes: Classes, entry: ClassEntry) -> list[Identifier]:
    """Returns the ids of the categories that a class consists of."""
    return in_order(key for key, value in classes.values.items() if value == entry.index)


def _listed(names: Sequence[Identifier]) -> str:
    shown = ", ".join(repr(shortened(name) if isinstance(name, str) else name) for name in names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"
