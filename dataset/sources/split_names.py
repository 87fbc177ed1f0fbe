"""Other names that the folder of a split goes by, and a data set seen as if it had ours."""

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from dataset.layout import ANNOTATION_FILE, SPLITS
from dataset.sources.source import Source

_ALSO = {"valid": ("val", "validation")}
SPLIT_FOLDERS = {split: (split, *_ALSO.get(split, ())) for split in SPLITS}


def folders_of_other_names(source: Source) -> dict[str, str]:
    """Returns the folder of each split that lies in one of another usual name alone: {"valid": "val"}.

    Args:
        source: Where the data set lies.

    Raises:
        DatasetError: A folder may not be accessed.
    """
    folders: dict[str, str] = {}
    for split, names in _ALSO.items():
        found = [] if source.has_folder(split) else [name for name in names if source.has_folder(name)]
        if len(found) == 1:
            folders[split] = found[0]
    return folders


def with_usual_names(source: Source) -> Source:
    """Returns a source in which a split whose folder has another usual name goes by ours: `val` is read as `valid`.

    Args:
        source: Where the data set lies.

    Returns:
        The same source where all folders have our names, or where several would fit.

    Raises:
        DatasetError: A folder may not be accessed.
    """
    folders = folders_of_other_names(source)
    return SplitView(source, folders) if folders else source


class SplitView:
    """A source some of whose splits lie elsewhere than in folders of their names; implements `Source`.

    Args:
        source: Where the data set lies.
        folders: The folder of each such split; "" for the whole.
        annotation_files: The annotation file of each split that has it elsewhere than in its folder.
    """

    def __init__(
        self, source: Source, folders: Mapping[str, str], annotation_files: Mapping[str, str] | None = None
    ) -> None:
        self._source = source
        self._folders = folders
        self._annotation_files = {
            f"{split}/{ANNOTATION_FILE}": file for split, file in (annotation_files or {}).items()
        }

    def _real(self, name: str) -> str:
        if name in self._annotation_files:
            return self._annotation_files[name]
        split, slash, rest = name.partition("/")
        folder = self._folders.get(split, split)
        return f"{folder}{slash}{rest}" if folder else rest

    def check(self) -> None:
        """Checks the source."""
        self._source.check()

    def has_folder(self, name: str) -> bool:
        """Returns whether there is a folder of this name, or a split."""
        real = self._real(name)
        return not real or "/" in real or self._source.has_folder(real)

    def folders(self) -> list[str]:
        """Returns the names of the real folders."""
        return self._source.folders()

    def files(self, split: str, unreadable: list[str]) -> Iterator[str]:
        """Yields a split's files under the split's name."""
        folder = self._real(split)
        if folder and "/" not in folder:
            for name in self._source.files(folder, unreadable):
                yield f"{split}{name.removeprefix(folder)}"
            return
        before = f"{folder}/" if folder else ""
        for name in self._source.names(unreadable):
            if name.startswith(before) and not self._source.lies_outside(name):
                yield f"{split}/{name.removeprefix(before)}"

    def names(self, unreadable: list[str]) -> Iterator[str]:
        """Yields all files under their real names."""
        return self._source.names(unreadable)

    def lies_outside(self, name: str) -> bool:
        """Returns whether a file is a link that leads out."""
        return self._source.lies_outside(self._real(name))

    def open(self, name: str) -> BinaryIO:
        """Opens a file."""
        return self._source.open(self._real(name))

    def read(self, name: str, largest: int | None = None) -> bytes:
        """Returns the bytes of a file."""
        return self._source.read(self._real(name), largest)

    def location(self, name: str = "") -> str:
        """Returns where a file really lies."""
        return self._source.location(self._real(name))
