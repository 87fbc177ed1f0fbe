"""Images without masks: one file, or all below a folder. Only names are read here, and nothing slow is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dataset.errors import DatasetError, Refusal, combined_error
from dataset.layouts.file_roles import DICOM, NIFTI, PICTURES, has_ending
from dataset.sources.local_folder import LocalFolder
from dataset.sources.source import Source

_KINDS = ", ".join(PICTURES)
_SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Pictures:
    """Image files.

    Attributes:
        source: Where they lie.
        names: The files in there, in the order in which they are read.
        others: How many other files lie between them; they are left out.
    """

    source: Source
    names: tuple[str, ...]
    others: int = 0


def find_pictures(path: str | Path) -> Pictures:
    """Finds an image, or all images below a folder by the endings of their names; hidden files are left out.

    Args:
        path: A file, of whatever ending, or a folder.

    Raises:
        DatasetError: There is neither, it cannot be listed, or no image is in it.
    """
    path = Path(path)
    if path.is_file():
        return Pictures(LocalFolder(path.parent), (path.name,))
    if not path.is_dir():
        raise DatasetError(f"{path} is neither an image file nor a folder of images: check what you give to --predict")
    source, unreadable = LocalFolder(path), list[str]()
    found = sorted(source.names(unreadable))
    if unreadable:
        raise combined_error(unreadable)
    names = tuple(name for name in found if has_ending(name, PICTURES))
    if not names:
        raise DatasetError(f"{path} holds no image ({_KINDS}){_instead(found)}")
    return Pictures(source, names, len(found) - len(names))


def none_usable(path: str | Path, refused: Sequence[Refusal]) -> DatasetError:
    """Builds the error of images none of which can be used.

    Args:
        path: As for `find_pictures`.
        refused: All images, each with the reason.
    """
    first = refused[0]
    if len(refused) == 1:
        return DatasetError(
            f"{first.place} cannot be used: {first.reason}; images are read from {_KINDS}", (str(first),)
        )
    return DatasetError(
        f"none of the {len(refused)} images in {path} can be used, so there is nothing to predict; images are read "
        f"from {_KINDS}. The first, {first.place}: {first.reason}",
        [*map(str, refused)],
    )


def _instead(found: Sequence[str]) -> str:
    """Returns what a folder without images holds, and what to do."""
    if not found:
        return ": it is empty"
    said = f": none of its {len(found)} files has such an ending" if len(found) > 1 else ": its one file is another"
    volumes = [name for name in found if has_ending(name, NIFTI + DICOM)]
    if volumes:
        return f"{said}, but there are volumes ({', '.join(volumes[:_SHOWN])}): export their slices as PNG or TIFF"
    return f"{said}, as {', '.join(found[:_SHOWN])}"
