"""A data set in a folder of this machine: only plain files are opened, and only links that stay within it followed."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dataset.errors import DatasetError
from dataset.sources.source import DataRoot, Source, cannot_read, too_large

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def as_source(root: DataRoot) -> Source:
    """Returns the source for a path; a source is returned as it is."""
    return root if isinstance(root, Source) else LocalFolder(root)


class LocalFolder:
    """A folder with split folders; implements `dataset.sources.source.Source`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._homes: dict[str, tuple[str, str]] = {}
        self._folders_inside: dict[str, bool] = {}

    def check(self) -> None:
        """Checks that it is a folder that can be listed, and that something is in it."""
        repair = "give the folder of the data; docs/your-data.md shows what may be in it"
        try:
            with os.scandir(self.root) as inside:
                is_empty = next(inside, None) is None
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: no folder can be called so
            raise DatasetError(f"{self.root} is not a folder: {repair}") from error
        except OSError as error:
            raise cannot_read(self.location(), error) from error
        if is_empty:
            raise DatasetError(f"{self.root} is empty: {repair}")

    def has_folder(self, name: str) -> bool:
        """Returns whether it has a folder of this name, or a link to one."""
        return stat.S_ISDIR(_mode_of(self.root / name))

    def folders(self) -> list[str]:
        """Returns the names of the folders in it that may be accessed."""
        return sorted(name for name in os.listdir(self.root) if os.path.isdir(self.root / name))  # noqa: PTH112, PTH208

    def files(self, split: str, unreadable: list[str]) -> Iterator[str]:
        """Walks a split's folder and the links that stay within the data set; enters every real folder once.

        Pipes, devices and links that lead out are skipped.
        """

        def note(error: OSError) -> None:
            unreadable.extend(cannot_read(error.filename, error).problems)

        seen: set[str] = set()
        for folder, folders, names in os.walk(self.root / split, onerror=note, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen or not self._lies_in(real, split):
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for path in (Path(folder, name) for name in names if not name.startswith(".")):
                try:
                    if stat.S_ISREG(_mode_of(path)) and (not path.is_symlink() or self._lies_in(path, split)):
                        yield path.relative_to(self.root).as_posix()
                except DatasetError as error:
                    unreadable += error.problems

    def names(self, unreadable: list[str]) -> Iterator[str]:
        """Walks the whole folder; enters every real folder once. Pipes and devices are skipped."""

        def note(error: OSError) -> None:
            unreadable.extend(cannot_read(error.filename, error).problems)

        seen: set[str] = set()
        for folder, folders, names in os.walk(self.root, onerror=note, followlinks=True):
            real, inside = os.path.realpath(folder), Path(folder).relative_to(self.root).as_posix()
            if real in seen or not self._lies_in(real, inside.partition("/")[0]):
                if real not in seen:
                    unreadable.append(
                        f"{folder} is a link that leads out of the data set's folder: copy the folder into it"
                    )
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            before = "" if inside == "." else f"{inside}/"
            for name in names:
                try:
                    if not name.startswith(".") and _may_be_file(f"{folder}{os.sep}{name}"):
                        yield f"{before}{name}"
                except FileNotFoundError:  # removed meanwhile
                    continue
                except OSError as error:
                    note(error)

    def lies_outside(self, name: str) -> bool:
        """Returns whether a file lies outside; for files that are not links, only their folder is resolved, once."""
        path = f"{self.root}{os.sep}{name}"  # a Path for every image takes longer
        split = name.partition("/")[0] if "/" in name else ""  # a folder may be a link, a file beside it may not
        if os.path.islink(path):  # noqa: PTH114 - a Path's raises if no file can have this name
            return not self._lies_in(path, split)
        folder = path.rpartition(os.sep)[0]
        if folder not in self._folders_inside:
            self._folders_inside[folder] = self._lies_in(folder, split)
        return not self._folders_inside[folder]

    def open(self, name: str) -> BinaryIO:
        """Opens a plain file; refuses pipes and devices, whose reading might never end."""
        path = self.root / name
        _size_of_file(path)
        return path.open("rb")

    def read(self, name: str, largest: int | None = None) -> bytes:
        """Returns the bytes of a file; see `read_file`."""
        return read_file(self.root / name, largest)

    def location(self, name: str = "") -> str:
        """Returns its path."""
        return str(self.root / name)

    def _lies_in(self, path: str | Path, split: str) -> bool:
        """Returns whether a path, links resolved, lies in the data set, or in a split whose folder is a link."""
        if split not in self._homes:
            self._homes[split] = os.path.realpath(self.root), os.path.realpath(self.root / split)
        real = os.path.realpath(path)
        return any(real == home or real.startswith(home.rstrip(os.sep) + os.sep) for home in self._homes[split])


def read_file(path: Path, largest: int | None = None) -> bytes:
    """Reads a plain file; refuses pipes and devices, whose reading might never end.

    Args:
        path: The file.
        largest: Most bytes allowed.

    Returns:
        Its bytes.

    Raises:
        OSError: It cannot be read; `strerror` says why.
        ValueError: No file can have this name.
    """
    size = _size_of_file(path)
    if largest is not None and size > largest:
        raise OSError(errno.EFBIG, too_large(size, largest))
    return path.read_bytes()


def _may_be_file(path: str) -> bool:
    """Returns whether this is a plain file or a link, whatever that leads to."""
    return stat.S_ISREG(mode := os.lstat(path).st_mode) or stat.S_ISLNK(mode)


def _size_of_file(path: Path) -> int:
    """Returns the size of a plain file in bytes; raises OSError for anything else."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(stat.S_IFMT(status.st_mode), 'something special')}, no file")
    return status.st_size


def _mode_of(path: Path) -> int:
    """Returns the mode of what lies at a path, links followed. What may not be accessed is not taken for missing.

    Returns:
        The mode as in `os.stat`; 0 if nothing is there, or a link to itself.

    Raises:
        DatasetError: The mode cannot be read.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        if error.errno == errno.ELOOP:
            return 0
        raise cannot_read(str(path), error) from error
