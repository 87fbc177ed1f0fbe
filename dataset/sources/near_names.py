"""Finds images that lie under a slightly other name than their annotation file says.

Tools write names as they were where the images lay then: with the folder `images/` or the split's name in front, with
backslashes, as a URL, with %20 for a blank, in another case or Unicode form. A file is taken only where nothing else
can be meant: one file fits, no entry names it exactly, and no other entry fits it.
"""

import threading
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeAlias
from urllib.parse import unquote

from dataset.layout import ANNOTATION_FILE
from dataset.message_text import is_clean, quoted
from dataset.sources.source import Source
from dataset.sources.split_names import SPLIT_FOLDERS

_SHOWN = 3
_FOR_IMAGES = frozenset({"data", "image", "images", "img", "imgs"})  # folders whose names tell no images apart
_Parts: TypeAlias = tuple[str, ...]


class NearNames:
    """The files of a data set that its entries may mean; a split is listed once, when its first image is missing.

    Args:
        source: Where the data set lies.
        listed: The `file_name` of every entry of each split.
    """

    def __init__(self, source: Source, listed: Mapping[str, Iterable[str]]) -> None:
        self._source = source
        self._listed = listed
        self._splits: dict[str, _SplitFiles] = {}
        self._lock = threading.Lock()

    def file_of(self, split: str, name: str) -> str | None:
        """Returns the file, relative to the split, that an entry without a file of its name means; None if unclear."""
        return self._files(split).meant.get(name)

    def advice(self, split: str, name: str) -> str:
        """Returns what to do about a missing image, with up to three files that resemble it."""
        near = self._files(split).near(name)
        if not near:
            return "add it, or remove its entry"
        return f"near it are {', '.join(quoted(file, 80) for file in near)}; correct the name, or remove its entry"

    def _files(self, split: str) -> "_SplitFiles":
        with self._lock:
            if split not in self._splits:
                files = sorted(file.removeprefix(f"{split}/") for file in self._source.files(split, []))
                self._splits[split] = _SplitFiles(split, files, self._listed[split])
            return self._splits[split]


class _SplitFiles:
    """The files of a split, and which of them is meant by each entry that has none of its name."""

    def __init__(self, split: str, files: Sequence[str], listed: Iterable[str]) -> None:
        self._neutral = _FOR_IMAGES.union(SPLIT_FOLDERS[split])
        self._elsewhere = {name for names in SPLIT_FOLDERS.values() for name in names} - self._neutral
        exact = {str(PurePosixPath(name)): name for name in listed}
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for file in files:
            if file != ANNOTATION_FILE and is_clean(file):
                last = _parts(file)[-1]
                self._by_name[last].append(file)
                self._by_stem[PurePosixPath(last).stem].append(file)
        existing = {*files}
        self._free = existing - exact.keys()
        fitting = {name: self._fitting(name) for plain, name in exact.items() if plain not in existing}
        claims = Counter(file for found in fitting.values() for file in found)
        self.meant = {name: found[0] for name, found in fitting.items() if len(found) == 1 and claims[found[0]] == 1}

    def _fitting(self, name: str) -> list[str]:
        wanted = _parts(name)
        candidates = self._by_name.get(wanted[-1], []) if wanted else []
        return [file for file in candidates if file in self._free and self._fits(_parts(file), wanted)]

    def _fits(self, file: _Parts, wanted: _Parts) -> bool:
        """Returns whether one is the end of the other, and the rest names no other split.

        Folders that tell no images apart do not count.
        """
        file, wanted = (
            (*(part for part in parts[:-1] if part not in self._neutral), parts[-1]) for parts in (file, wanted)
        )
        shared = min(len(file), len(wanted))
        return file[-shared:] == wanted[-shared:] and self._elsewhere.isdisjoint(wanted[:-shared])

    def near(self, name: str) -> list[str]:
        """Returns files of the same name in other folders, or else of the same name but for its ending."""
        wanted = _parts(name)
        if not wanted:
            return []
        found = self._by_name.get(wanted[-1]) or self._by_stem.get(PurePosixPath(wanted[-1]).stem, [])
        return found[:_SHOWN]


def _parts(name: str) -> _Parts:
    """Returns folders and file of a name in a form in which spellings of the same name are equal."""
    if "://" in name:
        name = name.partition("://")[2].partition("?")[0].partition("#")[0]
    plain = unicodedata.normalize("NFC", unquote(name)).casefold()
    parts = unicodedata.normalize("NFC", plain).replace("\\", "/").split("/")
    return tuple(part for part in parts if part not in ("", "."))
