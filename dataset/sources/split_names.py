"""Other names that the folder of a split goes by."""

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from dataset.layout import SPLITS
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
    return _RenamedSplits(source, folders) if folders else source


class _RenamedSplits:
    """A source some of whose split folders have other names; implements `dataset.sources.source.Source`."""

    def __init__(self, source: Source, folders: Mapping[str, str]) -> None:
        self._source = source
        self._folders = folders

    def _real(self, name: str) -> str:
        split, slash, rest = name.partition("/")
        return f"{self._folders.get(split, split)}{slash}{rest}"

    def check(self) -> None:
        self._source.check()

    def has_folder(self, name: str) -> bool:
        return self._source.has_folder(self._real(name))

    def folders(self) -> list[str]:
        return self._source.folders()

    def files(self, split: str, unreadable: list[str]) -> Iterator[str]:
        folder = self._real(split)
        for name in self._source.files(folder, unreadable):
            yield f"{split}{name.removeprefix(folder)}"

    def lies_outside(self, name: str) -> bool:
        return self._source.lies_outside(self._real(name))

    def open(self, name: str) -> BinaryIO:
        return self._source.open(self._real(name))

    def read(self, name: str, largest: int | None = None) -> bytes:
        return self._source.read(self._real(name), largest)

    def location(self, name: str = "") -> str:
        return self._source.location(self._real(name))
