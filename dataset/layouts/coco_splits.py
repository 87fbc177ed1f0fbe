"""COCO in split folders: train, valid and test, each with its annotation file and its images."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dataset.annotations.coco import SplitAnnotations, read_splits
from dataset.annotations.shortages import detection_exports
from dataset.layout import ANNOTATION_FILE, SPLITS
from dataset.layouts.coco_images import CocoImages, listed_images, listed_names
from dataset.layouts.layout import UNDIVIDED, Listed, Listing
from dataset.message_text import escaped
from dataset.notes import Note
from dataset.sources.source import Source
from dataset.sources.split_names import SplitView, folders_of_other_names, with_usual_names


class CocoSplits:
    """COCO in split folders; implements `dataset.layouts.layout.Layout`.

    Where one of the three is not there, those that are there are one part without splits, whose images are called by
    folder and name.

    Args:
        source: Where it lies; it has at least one such folder.
    """

    window: int | None = None
    unit = "image"
    patient_folders: tuple[str, ...] = ()

    def __init__(self, source: Source) -> None:
        self._files = source
        self._other_names = folders_of_other_names(source)
        self._usual_names = with_usual_names(source)
        self.splits = tuple(split for split in SPLITS if self._usual_names.has_folder(split))
        self.usual = len(self.splits) == len(SPLITS)
        each = f"{', '.join(map(self._folder, self.splits))}, each with {ANNOTATION_FILE} and its images"
        if self.usual:
            self.folders = self._other_names
            self.source: Source = self._usual_names
            self.sentence = f"COCO in the folders {each}"
        else:
            self.folders = dict.fromkeys((UNDIVIDED, *SPLITS), "")  # names of files hold their folders already
            self.source = SplitView(source, self.folders)
            missing = ", ".join(split for split in SPLITS if split not in self.splits)
            found = ", ".join(map(escaped, source.folders()))
            self.sentence = f"COCO in split folders ({each}), with no folder {missing} (found: {found})"

    def _folder(self, split: str) -> str:
        return self._other_names.get(split, split)

    def files(self, unreadable: list[str]) -> Iterable[str]:
        """Yields all files in the split folders."""
        for split in self.splits:
            yield from self._files.files(self._folder(split), unreadable)

    def listing(self) -> Listing:
        """Returns the images that the annotation files list."""
        listing = listed_images(self._usual_names, self.splits)
        if self.usual:
            return listing
        entries = [Listed(UNDIVIDED, f"{self._folder(each.split)}/{each.file_name}") for each in listing.entries]
        return replace(listing, entries=entries)

    def read(self, categories: Sequence[str]) -> tuple[list[SplitAnnotations], list[str]]:
        """Returns the content of the annotation files that can be read, and what is wrong with the others."""
        parts, problems = read_splits(self._usual_names, self.splits, categories)
        for part in parts:
            if part.split in self._other_names:
                part.notes.add(Note.SPLIT_FOLDER, f"{self._folder(part.split)} for {part.split}")
        problems += detection_exports(self._usual_names, parts)
        if self.usual or not parts:
            return parts, problems
        return [self._joined(parts)], problems + _contradictions(parts)

    def _joined(self, parts: Sequence[SplitAnnotations]) -> SplitAnnotations:
        """Returns all parts as one without a split."""
        first, *others = parts
        whole = replace(first, split=UNDIVIDED, categories={}, samples=[], refused=[], boxes=0)
        for part in parts:
            before = f"{self._folder(part.split)}/"
            whole.categories.update(part.categories)
            whole.samples.extend(
                replace(sample, split=UNDIVIDED, file_name=before + sample.file_name) for sample in part.samples
            )
            whole.refused.extend(
                replace(refusal, split=UNDIVIDED, file_name=before + (refusal.file_name or ANNOTATION_FILE))
                for refusal in part.refused
            )
        for part in others:
            whole.notes.update(part.notes)
            whole.dropped.update(part.dropped)
        return replace(whole, boxes=sum(part.boxes for part in parts))

    def images(self, parts: Sequence[SplitAnnotations]) -> CocoImages:
        """Returns what reads the images."""
        listed = {part.split: listed_names(part) for part in parts}
        if not self.usual:  # a name that one part lists is no other's
            names = [name for own in listed.values() for name in own]
            listed = dict.fromkeys(listed, names)
        return CocoImages(self.source, listed)


def _contradictions(parts: Sequence[SplitAnnotations]) -> list[str]:
    """Returns a sentence for each category that has another name in another file, so that they cannot be joined."""
    names: dict[int | str, tuple[str, str]] = {}
    found = []
    for part in parts:
        for key, name in part.categories.items():
            split, known = names.setdefault(key, (part.split, name))
            if known != name:
                found.append(
                    f"category {key} is {known!r} in {split} and {name!r} in {part.split}: give the categories the "
                    "same ids in all annotation files"
                )
    return found
