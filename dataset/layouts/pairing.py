"""Which mask belongs to which image, by their names alone."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile

from dataset.errors import Refusal
from dataset.layouts.file_roles import Role, has_ending, role_of
from dataset.message_text import escaped, is_clean, quoted

_SEPARATORS = "_-. "


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
    roles = [role_of(name, (*images, *masks)) for name in sorted(names) if has_ending(name, (*images, *masks))]
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
    index = _Images(images)
    by_key: dict[tuple[tuple[str, ...], str], list[Role]] = defaultdict(list)
    for mask in masks:
        by_key[mask.folder, mask.stem].append(mask)
    masked = {role.split for role in masks}
    taken: set[str] = set()
    for key, same in by_key.items():
        fitting = index.exact(*key)
        if not fitting or modality is not None:
            others = {end: role for end, role in index.modalities(*key) if (role.folder, role.stem) not in by_key}
            taken |= {role.name for role in others.values()}
            chosen = [role for end, role in others.items() if modality is not None and _same_end(end, modality)]
            if chosen:
                taken |= {role.name for role in fitting}
                fitting = chosen
            elif not fitting:
                fitting = [*others.values()]
                if len(fitting) > 1:
                    result.modalities |= {*others}
                    continue
        taken |= {role.name for role in fitting}
        if len(fitting) == 1 and len(same) == 1:
            result.found.append(Pair(fitting[0], same[0]))
        else:
            _refuse(fitting, same, result)
    for role in images:
        if role.name in taken:
            continue
        if role.split not in masked and masks:
            result.without_masks.append(role.name)
        else:
            result.refused.append(_refusal(role, "the image has no mask: add it, or remove the image"))
    result.found.sort(key=lambda pair: pair.image.name)
    _refuse_unclean(result)


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


class _Images:
    """Images by folder and name."""

    def __init__(self, images: Sequence[Role]) -> None:
        self._folders: dict[tuple[str, ...], list[tuple[str, Role]]] = defaultdict(list)
        for role in images:
            self._folders[role.folder].append((role.stem, role))
        for entries in self._folders.values():
            entries.sort(key=lambda entry: (entry[0], entry[1].name))

    def exact(self, folder: tuple[str, ...], stem: str) -> list[Role]:
        """Returns the images of exactly this name."""
        return [role for _, role in takewhile(lambda entry: entry[0] == stem, self._beginning(folder, stem))]

    def modalities(self, folder: tuple[str, ...], stem: str) -> Iterator[tuple[str, Role]]:
        """Yields the images whose names go on after this one, with what they go on with."""
        if not stem:
            yield from ((found, role) for found, role in self._folders.get(folder, []) if found)
            return
        for separator in _SEPARATORS:
            for found, role in self._beginning(folder, stem + separator):
                yield found[len(stem) + 1 :], role

    def _beginning(self, folder: tuple[str, ...], start: str) -> Iterator[tuple[str, Role]]:
        entries = self._folders.get(folder, [])
        first = bisect_left(entries, start, key=lambda entry: entry[0])
        yield from takewhile(lambda entry: entry[0].startswith(start), islice(entries, first, None))
