"""A data set in an artifact store, which its library may read from anywhere: buckets, shares."""

from __future__ import annotations

import errno
import io
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from zenml.artifact_stores import BaseArtifactStore

from dataset.errors import DatasetError
from dataset.sources.source import cannot_read, too_large


class StoredFolder:
    """A folder of an artifact store, read as `dataset.sources.source.Source` says; there are no links in there.

    Args:
        store: The artifact store.
        uri: The folder in it.
    """

    def __init__(self, store: BaseArtifactStore, uri: str) -> None:
        self.store = store
        self.uri = uri.rstrip("/")
        self._whole = f"{self.uri}/"  # a store whose own path ends so knows no other name for all that it has

    def check(self) -> None:
        """Checks that something lies there; what the store remembers of earlier listings is forgotten."""
        try:
            with _as_the_system_would():  # the first look at credentials
                if hasattr(type(self.store), "filesystem"):
                    self.store.filesystem.invalidate_cache()  # type: ignore[attr-defined]  # see the line above
        except OSError as error:
            raise cannot_read(self.uri, error) from error
        if not self._is_folder(self._whole):
            raise DatasetError(f"nothing lies at {self.uri}: check the names of bucket and folder")

    def has_folder(self, name: str) -> bool:
        """Tells whether it has a folder of this name."""
        return self._is_folder(self.place(name))

    def folders(self) -> list[str]:
        """Gives the names of the folders in it."""
        try:
            with _as_the_system_would():
                names = {str(name).strip("/") for name in self.store.listdir(self._whole)}
        except OSError as error:
            raise cannot_read(self.uri, error) from error
        return sorted(name for name in names if name and self.has_folder(name))

    def files(self, split: str, unreadable: list[str]) -> Iterator[str]:
        """Walks a split. Some libraries pass over a folder that may not be listed, or give it as an empty one.

        So each folder that was named must come, and one that comes empty is listed again, which fails where it must.
        """
        announced = {self.place(split)}
        try:
            for folder, folders, names in self._walk(split):
                announced.discard(folder)
                announced |= {f"{folder}/{name}" for name in folders if not name.startswith(".")}
                inside = folder.removeprefix(f"{self.uri}/")
                if any(part.startswith(".") for part in inside.split("/")):
                    continue
                if not folders and not names:
                    unreadable += self._fault_of(folder)
                yield from (f"{inside}/{name}" for name in names if name and not name.startswith("."))
        except OSError as error:
            unreadable += cannot_read(self.place(split), error).problems
        else:
            unreadable += [f"{folder} cannot be listed: check the permissions" for folder in sorted(announced)]

    def leads_out(self, name: str) -> bool:
        """Gives False: a store has no links."""
        return False

    def open(self, name: str) -> BinaryIO:
        """Opens a file, which is read in parts."""
        with _as_the_system_would():
            return io.BufferedReader(_Told(self.store.open(self.place(name), "rb")))

    def read(self, name: str, largest: int | None = None) -> bytes:
        """Gives the bytes of a file."""
        place = self.place(name)
        with _as_the_system_would():
            size = self.store.size(place) or 0
        if largest is not None and size > largest:
            raise OSError(errno.EFBIG, too_large(size, largest))
        with _as_the_system_would(), self.store.open(place, "rb") as file:
            content: bytes = file.read() if largest is None else file.read(largest + 1)
        if largest is not None and len(content) > largest:  # not every store knows sizes
            raise OSError(errno.EFBIG, f"it has more than {largest >> 20} MB")
        return content

    def place(self, name: str = "") -> str:
        """Gives the URI; `./a.png` and `a.png` are one file on a disk, and here as well."""
        return f"{self.uri}/{posixpath.normpath(name)}" if name else self.uri

    def _is_folder(self, place: str) -> bool:
        try:
            with _as_the_system_would():
                return self.store.isdir(place)
        except OSError as error:
            raise cannot_read(place.rstrip("/"), error) from error

    def _walk(self, split: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """Gives each folder of a split with the names of its folders and files."""
        with _as_the_system_would():
            for top, folders, names in self.store.walk(self.place(split)):
                yield str(top).rstrip("/"), [str(name) for name in folders], [str(name) for name in names]

    def _fault_of(self, folder: str) -> tuple[str, ...]:
        """Tells why a folder came empty, if it is not."""
        try:
            with _as_the_system_would():
                self.store.listdir(folder)
        except OSError as error:
            return cannot_read(folder, error).problems
        return ()


class _Told(io.RawIOBase):
    """A stored file whose faults are those of a file on a disk."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with _as_the_system_would():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def _as_the_system_would() -> Iterator[None]:
    """Raises OSError with a `strerror` where the library below a store fails, in whatever way."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "it is missing") from error
    except Exception as error:  # every store's library has kinds of its own
        told = " ".join(str(error).split()) or type(error).__name__
        raise OSError(errno.EIO, told) from error
