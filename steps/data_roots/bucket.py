"""A data set in one of ZenML's artifact stores, such as a bucket."""

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
    """A folder of an artifact store; implements `dataset.sources.source.Source`. Stores have no links.

    Args:
        store: The artifact store.
        uri: The folder in it.
    """

    def __init__(self, store: BaseArtifactStore, uri: str) -> None:
        self.store = store
        self.uri = uri.rstrip("/")
        self._whole = f"{self.uri}/"  # a store whose own path ends with a slash finds its root only under this name

    def check(self) -> None:
        """Checks that something lies there; drops what the store has cached of earlier listings."""
        try:
            with _as_os_errors():  # the first use of the credentials
                if hasattr(type(self.store), "filesystem"):
                    self.store.filesystem.invalidate_cache()  # type: ignore[attr-defined]  # S3, GCS, Azure
        except OSError as error:
            raise cannot_read(self.uri, error) from error
        if not self._is_folder(self._whole):
            raise DatasetError(f"nothing lies at {self.uri}: check the names of bucket and folder")

    def has_folder(self, name: str) -> bool:
        """Returns whether it has a folder of this name."""
        return self._is_folder(self.location(name))

    def folders(self) -> list[str]:
        """Returns the names of the folders in it."""
        try:
            with _as_os_errors():
                names = {str(name).strip("/") for name in self.store.listdir(self._whole)}
        except OSError as error:
            raise cannot_read(self.uri, error) from error
        return sorted(name for name in names if name and self.has_folder(name))

    def names(self, unreadable: list[str]) -> Iterator[str]:
        """Walks the whole."""
        return self.files("", unreadable)

    def files(self, split: str, unreadable: list[str]) -> Iterator[str]:
        """Walks a split; the whole where it has no name.

        Some libraries skip a folder that may not be listed, or report it as empty. So every folder that was announced
        has to be visited, and an empty one is listed again, which raises if it may not be listed.
        """
        announced = {self.location(split)}
        try:
            for folder, folders, names in self._walk(split):
                announced.discard(folder)
                announced |= {f"{folder}/{name}" for name in folders if not name.startswith(".")}
                inside = folder.removeprefix(self.uri).removeprefix("/")
                if any(part.startswith(".") for part in inside.split("/")):
                    continue
                if not folders and not names:
                    unreadable += self._fault_of(folder)
                before = f"{inside}/" if inside else ""
                yield from (f"{before}{name}" for name in names if name and not name.startswith("."))
        except OSError as error:
            unreadable += cannot_read(self.location(split), error).problems
        else:
            unreadable += [f"{folder} cannot be listed: check the permissions" for folder in sorted(announced)]

    def lies_outside(self, name: str) -> bool:
        """Returns False: a store has no links."""
        return False

    def open(self, name: str) -> BinaryIO:
        """Opens a file for reading in parts."""
        with _as_os_errors():
            return io.BufferedReader(_StoredFile(self.store.open(self.location(name), "rb")))

    def read(self, name: str, largest: int | None = None) -> bytes:
        """Returns the bytes of a file."""
        place = self.location(name)
        with _as_os_errors():
            size = self.store.size(place) or 0
        if largest is not None and size > largest:
            raise OSError(errno.EFBIG, too_large(size, largest))
        with _as_os_errors(), self.store.open(place, "rb") as file:
            content: bytes = file.read() if largest is None else file.read(largest + 1)
        if largest is not None and len(content) > largest:  # not every store knows sizes
            raise OSError(errno.EFBIG, f"it has more than {largest >> 20} MB")
        return content

    def location(self, name: str = "") -> str:
        """Returns the URI; `./a.png` and `a.png` are the same file, as on a disk."""
        return f"{self.uri}/{posixpath.normpath(name)}" if name else self.uri

    def _is_folder(self, place: str) -> bool:
        try:
            with _as_os_errors():
                return self.store.isdir(place)
        except OSError as error:
            raise cannot_read(place.rstrip("/"), error) from error

    def _walk(self, split: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yields each folder of a split with the names of its folders and files."""
        with _as_os_errors():
            for top, folders, names in self.store.walk(self.location(split) if split else self._whole):
                yield str(top).rstrip("/"), [str(name) for name in folders], [str(name) for name in names]

    def _fault_of(self, folder: str) -> tuple[str, ...]:
        """Returns why a folder that was reported as empty cannot be listed; nothing if it can."""
        try:
            with _as_os_errors():
                self.store.listdir(folder)
        except OSError as error:
            return cannot_read(folder, error).problems
        return ()


class _StoredFile(io.RawIOBase):
    """A stored file whose errors are OSErrors, like those of a file on a disk."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with _as_os_errors():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Raises OSError with a `strerror` if the library below a store raises anything."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "it is missing") from error
    except Exception as error:  # every store's library has exceptions of its own
        message = " ".join(str(error).split()) or type(error).__name__
        raise OSError(errno.EIO, message) from error
