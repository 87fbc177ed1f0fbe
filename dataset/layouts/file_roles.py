"""What the name of a file says: whether it is an image or a mask, of what, and of which split."""

import re
from dataclasses import dataclass

from dataset.layout import SPLITS
from dataset.sources.split_names import SPLIT_FOLDERS

PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
NIFTI = (".nii", ".nii.gz")
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


def role_of(name: str, endings: tuple[str, ...]) -> Role:
    """Returns what a file's name says.

    Args:
        name: The file, relative to the data set.
        endings: The endings that it may have.
    """
    *folders, file = name.split("/")
    ending = max((each for each in endings if file.casefold().endswith(each)), key=len, default="")
    stem = file[: len(file) - len(ending)]
    kept: list[str] = []
    in_image_folder = in_mask_folder = False
    for folder in folders:
        found = _MASK_FOLDER.fullmatch(folder) or _IMAGE_FOLDER.fullmatch(folder)
        if found is None:
            kept.append(folder)
            continue
        in_mask_folder = found.re is _MASK_FOLDER  # the innermost counts
        in_image_folder = not in_mask_folder
        if rest := found["nnunet"] or found["before"]:
            kept.append(rest)
    parts = tuple(_SPLIT_OF.get(part.casefold(), part) for part in kept)
    split = next((part for part in parts if part in SPLITS), "")
    mask_name = _MASK_STEM.fullmatch(stem)
    said = mask_name or _IMAGE_STEM.fullmatch(stem)
    return Role(
        name,
        parts,
        stem if said is None else said["stem"] or "",
        split,
        in_image_folder,
        in_mask_folder,
        mask_name is not None,
    )
