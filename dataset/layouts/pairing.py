"""Which mask belongs to which image, by their names alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from dataset.errors import Refusal
from dataset.layouts.file_roles import Role, has_ending, role_of
from dataset.message_text import escaped, is_clean, quoted

_SEPARATORS = "_-. "
_Key: TypeAlias = tuple[tuple[str, ...], str]  # folders and name


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask.

    Attributes:
        image: The image's name.
        mask: The mask's.
    """

    image: Role
    mask: Role


@dataclass
class Pairs:
    """What the names of a data set's files say.

    Attributes:
        found: The pairs, by the names of the images.
        refused: Images without a mask, masks without an image, and what belongs to several.
        modalities: Where masks have several images and none was chosen: the ends of their names.
        without_masks: Images of splits that have no mask at all; they are left out.
        masks: How many masks there are.
        beside: Files in neither of the folders for images and masks, where there are such folders.
    """

    found: list[Pair] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    modalities: set[str] = field(default_factory=set)
    without_masks: list[str] = field(default_factory=list)
    masks: int = 0
    beside: list[str] = field(default_factory=list)


def pair_names(
    names: Sequence[str], images: tuple[str, ...], masks: tuple[str, ...], modality: str | None = None
) -> Pairs:
    """Finds which files are images and which are their masks.

    Where a folder says mask (`masks/`, `labels/`, `labelsTr/`), the files in such folders are the masks, and the others
    the images; else those whose names end so (`x_mask.tif`). Of an image `a/images/x.png` the mask is called
    `a/masks/x.png` or `a/masks/x_mask.png`. Where there is none of exactly its name, `x_t1` and `x_t2` are images
    (modalities) of the mask `x`.

    Args:
        names: All files, relative to the data set.
        images: The endings of images.
        masks: The endings of masks.
        modality: Which image counts where a mask has several.
    """
    result = Pairs()
    roles = [role_of(name) for name in sorted(names) if has_ending(name, (*images, *masks))]
    by_folder = any(role.in_mask_folder for role in roles)
    image_folders = any(role.in_image_folder for role in roles)
    image_roles: list[Role] = []
    mask_roles: list[Role] = []
    for role in roles:
        if role.in_mask_folder or (role.is_mask_name and not by_folder):
            if has_ending(role.name, masks):
                mask_roles.append(role)
        elif by_folder and image_folders and not role.in_image_folder:
            result.beside.append(role.name)
        elif has_ending(role.name, images):
            image_roles.append(role)
    result.masks = len(mask_roles)
    _match(image_roles, mask_roles, modality, result)
    return result


def _match(images: Sequence[Role], masks: Sequence[Role], modality: str | None, result: Pairs) -> None:
    """Fills `result` with the pairs, and with what has no partner."""
    by_key: dict[_Key, list[Role]] = defaultdict(list)
    for mask in masks:
        by_key[mask.folder, mask.stem].append(mask)
    of_mask: dict[_Key, list[tuple[str, Role]]] = defaultdict(list)  # with how the name goes on
    lonely: list[Role] = []
    for image in images:
        found = _mask_of(image, by_key)
        if found is None:
            lonely.append(image)
        else:
            of_mask[found[0]].append((found[1], image))
    for key, same in by_key.items():
        fitting, left = _meant(of_mask[key], modality)
        lonely += left
        if len(fitting) == len(same) == 1:
            result.found.append(Pair(fitting[0], same[0]))
        elif len(fitting) > 1 and all(end for end, _ in of_mask[key]):
            result.modalities |= {end for end, _ in of_mask[key]}
        else:
            _refuse(fitting, same, result)
    masked = {role.split for role in masks}
    for image in sorted(lonely, key=lambda role: role.name):
        if image.split not in masked and masks:
            result.without_masks.append(image.name)
        else:
            result.refused.append(_refusal(image, "the image has no mask: add it, or remove the image"))
    result.found.sort(key=lambda pair: pair.image.name)
    _refuse_unclean(result)


def _meant(found: Sequence[tuple[str, Role]], modality: str | None) -> tuple[list[Role], list[Role]]:
    """Returns which of the images that go by a mask's name are meant, and which have no mask after all."""
    exact = [image for end, image in found if not end]
    others = [image for end, image in found if end]
    chosen = [image for end, image in found if end and modality is not None and _same_end(end, modality)]
    if chosen:
        return chosen, []
    return (exact, others if modality is None else []) if exact else (others, [])


def _mask_of(image: Role, masks: Mapping[_Key, Sequence[Role]]) -> tuple[_Key, str] | None:
    """Returns the key of an image's mask, and with what the image's name goes on after it.

    Of masks whose names the image's begins with, the longest counts: `x_1_t1` is an image of `x_1`, not of `x`.
    """
    folder, stem = image.folder, image.stem
    if (folder, stem) in masks:
        return (folder, stem), ""
    for end in range(len(stem) - 1, 0, -1):
        if stem[end] in _SEPARATORS and (folder, stem[:end]) in masks:
            return (folder, stem[:end]), stem[end + 1 :]
    return ((folder, ""), stem) if (folder, "") in masks else None


def _same_end(end: str, modality: str) -> bool:
    """Returns whether two ends of names are the same; 0001 may have been read as the number 1."""
    same_number = end.isdecimal() and modality.isdecimal() and int(end) == int(modality)
    return same_number or end.casefold() == modality.casefold()


def _refuse(images: Sequence[Role], masks: Sequence[Role], result: Pairs) -> None:
    if not images:
        for mask in masks:
            result.refused.append(_refusal(mask, "the mask has no image: add it, or remove the mask"))
        return
    several, noun = (masks, "masks") if len(masks) > 1 else (images, "files")
    listed = ", ".join(quoted(role.name, 80) for role in several[:3])
    for image in images:
        reason = f"{len(several)} {noun} have the name of one image ({listed}): leave one of them"
        result.refused.append(_refusal(image, reason))


def _refuse_unclean(result: Pairs) -> None:
    clean = [is_clean(pair.image.name) and is_clean(pair.mask.name) for pair in result.found]
    reason = "the name of the image or its mask holds control characters or half characters: rename the file"
    result.refused += [_refusal(pair.image, reason) for pair, fine in zip(result.found, clean, strict=True) if not fine]
    result.found = [pair for pair, fine in zip(result.found, clean, strict=True) if fine]


def _refusal(role: Role, reason: str) -> Refusal:
    return Refusal(role.split, escaped(role.name), None, None, reason)
