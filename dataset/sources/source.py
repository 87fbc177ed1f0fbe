"""The interface to a data set's files, wherever they are: a folder of this machine, or a store elsewhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, runtime_checkable

from dataset.errors import DatasetError


@runtime_checkable
class Source(Protocol):
    """A location of a data set; files are named relative to it, as in `train/a.png`.

    Opening a file and reading from it raise OSError with a `strerror` if they fail, ValueError if no file can have this
    name.
    """

    def check(self) -> None:
        """Checks that the location exists and can be read; raises DatasetError."""
        ...

    def has_folder(self, name: str) -> bool:
        """Returns whether there is a folder of this name directly in it; raises DatasetError."""
        ...

    def folders(self) -> list[str]:
        """Returns the names of the folders directly in it, sorted, for messages; raises DatasetError."""
        ...

    def files(self, split: str, unreadable: list[str]) -> Iterator[str]:
        """Yields a split's files that are not hidden, in any order; appends to `unreadable` what cannot be listed."""
        ...

    def names(self, unreadable: list[str]) -> Iterator[str]:
        """Yields all files that are not hidden, in any order, among them links to files that lead out of the data set.

        Appends to `unreadable` what cannot be listed, and which folders are links that lead out.
        """
        ...

    def lies_outside(self, name: str) -> bool:
        """Returns whether a file is, or lies in, a link to something outside the data set."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Opens a file to read bytes; the caller closes it."""
        ...

    def read(self, name: str, largest: int | None = None) -> bytes:
        """Returns the bytes of a file; raises OSError if they are more than `largest`."""
        ...

    def location(self, name: str = "") -> str:
        """Returns the path or URI of a file or folder, or of the whole, as messages name it."""
        ...


DataRoot: TypeAlias = Path | Source  # what a data set can be read from; a path is a folder of this machine


def is_uri(data_root: str) -> bool:
    """Returns whether this is a URI, not a folder of this machine."""
    return "://" in data_root


def cannot_read(location: str, error: OSError) -> DatasetError:
    """Returns the error for a file or folder that cannot be read."""
    return DatasetError(f"{location} cannot be read ({error.strerror}): check what it is, and its permissions")


def too_large(size: int, largest: int) -> str:
    """Returns the clause of a message that a file has more bytes than are allowed."""
    return f"it has {size >> 20} MB, more than {largest >> 20} MB"
