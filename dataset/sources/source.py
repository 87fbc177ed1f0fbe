"""Where a data set lies: a folder of this machine, or a place elsewhere that is read in the same way."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, runtime_checkable

from dataset.errors import DatasetError
from dataset.layout import ANNOTATION_FILE, SPLITS
from dataset.message_text import escaped


@runtime_checkable
class Source(Protocol):
    """A place with split folders; files are named relative to it, `train/a.png`.

    Opening, and each reading after it, raises OSError with a `strerror` where it fails, and ValueError where no file
    can have that name.
    """

    def check(self) -> None:
        """Checks that it is there and can be read; raises DatasetError."""
        ...

    def has_folder(self, name: str) -> bool:
        """Tells whether there is a folder of this name directly in it; raises DatasetError."""
        ...

    def folders(self) -> list[str]:
        """Gives the names of the folders directly in it, sorted, for messages; raises DatasetError."""
        ...

    def files(self, split: str, unreadable: list[str]) -> Iterator[str]:
        """Gives the files of a split that are not hidden, in any order; appends what cannot be looked at."""
        ...

    def lies_outside(self, name: str) -> bool:
        """Tells whether a file is a link to somewhere that is no part of the data set."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Opens a file to read bytes; the caller closes it."""
        ...

    def read(self, name: str, largest: int | None = None) -> bytes:
        """Gives the bytes of a file; raises OSError where they are more than `largest`."""
        ...

    def location(self, name: str = "") -> str:
        """Gives how messages name a file or folder, or the whole."""
        ...


DataRoot: TypeAlias = Path | Source  # what a data set can be read from: a path is a folder of this machine


def missing_splits(source: Source) -> tuple[list[str], str]:
    """Looks for the split folders.

    Args:
        source: Where the data set lies.

    Returns:
        The splits that have no folder, and one sentence about all of them.

    Raises:
        DatasetError: A folder may not be looked at.
    """
    missing = [split for split in SPLITS if not source.has_folder(split)]
    found = source.folders() if missing else []
    return missing, (
        f"{source.location()} has no folder {', '.join(missing)} (found: {', '.join(map(escaped, found)) or 'none'}): "
        f"expected {', '.join(SPLITS)}, each with {ANNOTATION_FILE} and its images"
    )


def cannot_read(place: str, error: OSError) -> DatasetError:
    """Builds the error about a file or folder that may not, or cannot, be read."""
    return DatasetError(f"{place} cannot be read ({error.strerror}): check what it is, and its permissions")


def too_large(size: int, largest: int) -> str:
    """Says that a file has more bytes than are allowed."""
    return f"it has {size >> 20} MB, more than {largest >> 20} MB"
