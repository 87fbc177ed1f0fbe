"""COCO's own layout, `annotations/instances_train2017.json` with folders of images; and one COCO file for all."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from dataset.annotations.coco import SplitAnnotations, read_splits
from dataset.annotations.shortages import detection_exports
from dataset.errors import DatasetError
from dataset.layout import SPLITS
from dataset.layouts.coco_images import CocoImages, listed_images, listed_names
from dataset.layouts.file_roles import PICTURES, has_ending
from dataset.layouts.layout import UNDIVIDED, Listing
from dataset.message_text import quoted
from dataset.sources.source import Source
from dataset.sources.split_names import SPLIT_FOLDERS, SplitView

_FOLDERS = ("annotations", "annotation")
_INSTANCES = "instances"
_BEGINNING = 2**16  # bytes of a file that tell COCO from other JSON
_IS_COCO = re.compile(rb'^\s*\{.*"(images|annotations|categories)"\s*:', re.DOTALL)
_SPLIT = {
    split: re.compile(rf"(?:^|[_\-. ])(?:{'|'.join(names)})(?=\d*(?:$|[_\-. ]))", re.IGNORECASE)
    for split, names in SPLIT_FOLDERS.items()
}
_TRIED = 200  # images of a split of which the folder is searched


class CocoFiles:
    """COCO annotation files beside folders of images; implements `dataset.layouts.layout.Layout`.

    Args:
        source: Where it lies.
        names: All its files.
        annotation_files: The annotation file of each split; or of `UNDIVIDED` alone.
    """

    usual = False
    window: int | None = None
    unit = "image"
    patient_folders: tuple[str, ...] = ()

    def __init__(self, source: Source, names: Sequence[str], annotation_files: Mapping[str, str]) -> None:
        self._files = source
        self._names = names
        self._annotation_files = dict(annotation_files)
        self.splits = tuple(split for split in SPLITS if split in annotation_files)
        self.folders = dict.fromkeys(self.splits or (UNDIVIDED, *SPLITS), "")
        self.source: Source = SplitView(source, self.folders, annotation_files)
        each = ", ".join(annotation_files.values())
        self.sentence = f"COCO's own layout: {each}" if self.splits else f"one COCO file: {each}, without splits"

    def files(self, unreadable: list[str]) -> Iterable[str]:
        """Returns the annotation files and all pictures."""
        read = {*self._annotation_files.values()}
        names = [name for name in self._names if name in read or has_ending(name, PICTURES)]
        return [name for name in names if not self._files.lies_outside(name)]

    def listing(self) -> Listing:
        """Returns the images that the annotation files list."""
        return listed_images(self.source, tuple(self._annotation_files))

    def read(self, categories: Sequence[str]) -> tuple[list[SplitAnnotations], list[str]]:
        """Reads the annotation files, and finds the folders of their images."""
        parts, problems = read_splits(self.source, self._annotation_files, categories)
        found = _ImageFolders(self._names)
        for part in parts:
            self.folders[part.split] = found.of(part)
        if not self.splits:
            self.folders = dict.fromkeys(self.folders, self.folders[UNDIVIDED])
        self.source = SplitView(self._files, self.folders, self._annotation_files)
        return parts, problems + detection_exports(self.source, parts)

    def images(self, parts: Sequence[SplitAnnotations]) -> CocoImages:
        """Returns what reads the images; splits of one file share their folder."""
        listed = {part.split: listed_names(part) for part in parts}
        if not self.splits:
            names = [name for own in listed.values() for name in own]
            listed = dict.fromkeys(listed, names)
        return CocoImages(self.source, listed)


class _ImageFolders:
    """Finds in which folder the images of annotation files lie."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {name for name in names if has_ending(name, PICTURES)}
        parents = {parent for name in self._names for parent in PurePosixPath(name).parents}
        self._folders = sorted("" if str(parent) == "." else str(parent) for parent in parents) or [""]

    def of(self, part: SplitAnnotations) -> str:
        """Returns the folder in which most of a part's images lie under exactly their names.

        Of several as good, the one that is called as the split, then the shortest.
        """
        wanted = sorted({str(PurePosixPath(name)) for name in listed_names(part)})[:_TRIED]

        def rank(folder: str) -> tuple[int, bool, int, str]:
            found = sum((f"{folder}/{name}" if folder else name) in self._names for name in wanted)
            named = part.split in _SPLIT and _SPLIT[part.split].search(folder.rpartition("/")[2]) is not None
            return -found, not named, len(folder), folder

        return min(self._folders, key=rank)


def coco_files(source: Source, names: Sequence[str]) -> CocoFiles | None:
    """Returns the layout of a folder with COCO files at its top or in `annotations/`; None where it has none.

    Args:
        source: Where the data set lies.
        names: All its files.

    Raises:
        DatasetError: There are several, and it is not clear which are meant.
    """
    found = [name for name in _candidates(names) if _is_instances(name) or _is_coco(source, name)]
    instances = [name for name in found if _is_instances(name)]
    found = instances or found
    if not found:
        return None
    by_split: dict[str, list[str]] = {}
    for name in found:
        by_split.setdefault(_split_of(name), []).append(name)
    if len(found) == 1:
        return CocoFiles(source, names, {UNDIVIDED: found[0]})
    if UNDIVIDED in by_split or any(len(own) > 1 for own in by_split.values()):
        raise DatasetError(
            f"{source.location()} has several COCO files ({', '.join(map(quoted, found[:6]))}), and their names do not "
            "say which is which: leave one, or call them instances_train.json, instances_val.json, instances_test.json"
        )
    missing = [split for split in SPLITS if split not in by_split]
    if missing:
        raise DatasetError(
            f"{source.location()} has COCO files for {', '.join(by_split)} and none for {', '.join(missing)}: add "
            f"{' and '.join(f'annotations/instances_{split}.json' for split in missing)}, or join all in one file and "
            'give --split "0.7,0.15,0.15"'
        )
    return CocoFiles(source, names, {split: own[0] for split, own in by_split.items()})


def _candidates(names: Sequence[str]) -> Iterator[str]:
    for name in sorted(names):
        folder, _, file = name.rpartition("/")
        known = not folder or folder.casefold() in _FOLDERS
        if known and file.casefold().endswith(".json") and not file.startswith("image_info"):
            yield name


def _is_instances(name: str) -> bool:
    return PurePosixPath(name).name.startswith(_INSTANCES)


def _is_coco(source: Source, name: str) -> bool:
    """Returns whether a file begins like COCO; one that cannot be read does not."""
    if source.lies_outside(name):
        return False
    try:
        with source.open(name) as file:
            return _IS_COCO.match(file.read(_BEGINNING)) is not None
    except OSError:
        return False


def _split_of(name: str) -> str:
    stem = PurePosixPath(name).stem
    return next((split for split, pattern in _SPLIT.items() if pattern.search(stem)), UNDIVIDED)
