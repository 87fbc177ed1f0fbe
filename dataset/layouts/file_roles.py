"""What the name of a file says: whether it is an image or a mask, of what, and of which split."""

import functools
import re
from dataclasses import dataclass

from dataset.layout import SPLITS
from dataset.sources.split_names import SPLIT_FOLDERS

PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_COMPRESSED = ".nii.gz"
NIFTI = (".nii", _COMPRESSED)
DICOM = (".dcm", ".dicom", ".ima")

_FLAGS = re.IGNORECASE | re.DOTALL
_MASK = r"masks?|labels?|segmentations?|segs?|gts?|ground[_-]?truths?"
_MASK_FOLDER = re.compile(rf"(?:(?P<before>.+)[_-])?(?:{_MASK}|annotations?)|labels(?P<nnunet>tr|ts)", _FLAGS)
_IMAGE_FOLDER = re.compile(
    r"(?:(?P<before>.+)[_-])?(?:images?|imgs?|scans?|inputs?|volumes?)|images(?P<nnunet>tr|ts)", _FLAGS
)
_MASK_STEM = re.compile(rf"(?:(?P<stem>.*)[_\-. ])?(?:{_MASK})", _FLAGS)
_IMAGE_STEM = re.compile(r"(?:(?P<stem>.*)[_\-. ])?(?:images?|img|imaging|volume|scan)", _FLAGS)
_SPLIT_OF = {name: split for split in SPLITS for name in SPLIT_FOLDERS[split]}
_SPLIT_OF |= {"training": "train", "testing": "test", "tr": "train", "ts": "test"}


@dataclass(frozen=True, slots=True)
class Role:
    """What a file's name says.

    Attributes:
        name: The file.
        folder: Its folders without those that say image or mask; a split goes by our name.
        stem: Its name without ending and without what says image or mask.
        split: The split that a folder is called by, else "".
        in_image_folder: Whether a folder says that it is an image.
        in_mask_folder: Whether a folder says that it is a mask.
        is_mask_name: Whether its own name says that it is a mask.
    """

    name: str
    folder: tuple[str, ...]
    stem: str
    split: str
    in_image_folder: bool
    in_mask_folder: bool
    is_mask_name: bool

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Its folders without those of the split."""
        return tuple(part for part in self.folder if part not in SPLITS)


def has_ending(name: str, endings: tuple[str, ...]) -> bool:
    """Returns whether a file has one of these endings, in any case."""
    return name.casefold().endswith(endings)


def role_of(name: str) -> Role:
    """Returns what a file's name says.

    Args:
        name: The file, relative to the data set; it has an ending.
    """
    folder, _, file = name.rpartition("/")
    parts, is_image, is_mask = _folders(folder)
    stem = file[: -len(_COMPRESSED)] if file.casefold().endswith(_COMPRESSED) else file.rpartition(".")[0]
    mask_name = _MASK_STEM.fullmatch(stem)
    said = mask_name or _IMAGE_STEM.fullmatch(stem)
    return Role(
        name,
        parts,
        stem if said is None else said["stem"] or "",
        next((part for part in parts if part in SPLITS), ""),
        is_image,
        is_mask,
        mask_name is not None,
    )


@functools.lru_cache(maxsize=1024)
def _folders(path: str) -> tuple[tuple[str, ...], bool, bool]:
    """Returns a path's folders as a role has them, and whether the innermost that says so holds images, or masks."""
    kept: list[str] = []
    is_image = is_mask = False
    for folder in path.split("/") if path else ():
        found = _MASK_FOLDER.fullmatch(folder) or _IMAGE_FOLDER.fullmatch(folder)
        if found is None:
            kept.append(folder)
            continue
        is_mask = found.re is _MASK_FOLDER
        is_image = not is_mask
        if rest := found["nnunet"] or found["before"]:
            kept.append(rest)
    return tuple(_SPLIT_OF.get(part.casefold(), part) for part in kept), is_image, is_mask
