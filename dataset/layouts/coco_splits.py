"""COCO in split folders: train, valid and test, each with its annotation file and its images."""

from collections.abc import Iterable, Sequence

from dataset.annotations.coco import SplitAnnotations, read_annotations
from dataset.annotations.shortages import detection_exports
from dataset.errors import DatasetError
from dataset.layout import ANNOTATION_FILE, SPLITS
from dataset.layouts.coco_images import CocoImages, listed_names
from dataset.notes import Note
from dataset.sources.source import Source, missing_splits
from dataset.sources.split_names import folders_of_other_names, with_usual_names


class CocoSplits:
    """COCO in split folders; implements `dataset.layouts.layout.Layout`.

    Args:
        source: Where it lies.
    """

    usual = True
    splits: tuple[str, ...] = SPLITS  # which of them are missing, `read` says
    window: int | None = None

    def __init__(self, source: Source) -> None:
        self._files = source
        self.folders = folders_of_other_names(source)
        self.source = with_usual_names(source)
        names = ", ".join(self.folders.get(split, split) for split in SPLITS)
        self.sentence = f"COCO in the folders {names}, each with {ANNOTATION_FILE} and its images"

    def files(self, unreadable: list[str]) -> Iterable[str]:
        """Yields all files in the split folders."""
        for folder in (self.folders.get(split, split) for split in SPLITS):
            if self._files.has_folder(folder):
                yield from self._files.files(folder, unreadable)

    def read(self, categories: Sequence[str]) -> tuple[list[SplitAnnotations], list[str]]:
        """Returns the content of the annotation files that can be read, and what is wrong with the others."""
        missing, sentence = missing_splits(self.source)
        parts: list[SplitAnnotations] = []
        problems = [sentence] if missing else []
        for split in SPLITS:
            if split not in missing:
                try:
                    parts.append(read_annotations(self.source, split, categories))
                except DatasetError as error:
                    problems += error.problems
        for part in parts:
            if part.split in self.folders:
                part.notes.add(Note.SPLIT_FOLDER, f"{self.folders[part.split]} for {part.split}")
        return parts, problems + detection_exports(self.source, parts)

    def images(self, parts: Sequence[SplitAnnotations]) -> CocoImages:
        """Returns what reads the images."""
        return CocoImages(self.source, {part.split: listed_names(part) for part in parts})
