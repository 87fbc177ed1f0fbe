"""Divides images without splits into training, validation and test images, patients whole."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dataset.errors import DatasetError
from dataset.layout import SPLITS
from dataset.message_text import counted, plural
from dataset.options import Shares, check_shares

_TYPES_AT_ONCE = 1000  # kinds of units of a split that an exchange is looked for among; more take too much memory
_GAIN = 1e-9  # smaller ones are rounding


@dataclass(frozen=True, slots=True)
class Item:
    """One image.

    Attributes:
        name: Its file; equal names are never divided.
        group: The patient or volume that it is of; None where it belongs to no other image.
        lesion: Whether it has one.
    """

    name: str
    group: str | None
    lesion: bool


@dataclass
class _Division:
    """Units (groups, and images without one) and where each is.

    Attributes:
        sizes: Images of each unit with a lesion, and without one: float64 (units, 2).
        place: The number of its split: int (units,).
        targets: Images that each split should have with a lesion, and without: float64 (splits, 2).
        counts: Images that it has, likewise.
    """

    sizes: NDArray[np.float64]
    place: NDArray[np.intp]
    targets: NDArray[np.float64]
    counts: NDArray[np.float64]

    def move(self, unit: int, to: int) -> None:
        """Puts a unit into another split, or into its first."""
        if self.place[unit] >= 0:
            self.counts[self.place[unit]] -= self.sizes[unit]
        self.counts[to] += self.sizes[unit]
        self.place[unit] = to

    def excess(self, split: int, change: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns what a change (..., 2) of a split's counts adds to the sum of (count - target)^2 / target."""
        after = self.counts[split] + change - self.targets[split]
        before = self.counts[split] - self.targets[split]
        return ((after**2 - before**2) / np.maximum(self.targets[split], _GAIN)).sum(-1)


def divide(items: Sequence[Item], shares: Shares, seed: int, noun: str = "group") -> list[str]:
    """Returns the split of each item: "train", "valid" or "test".

    Of the images with a lesion each split gets its share, and of those without one, as close as it goes without
    dividing a group: the sum over splits and both kinds of (images - target)^2 / target is made small. Groups are
    placed one after the other in an order that the seed decides, each where it fits best, and then exchanged as long
    as that brings the sum down. A split with a share gets at least one group, however small the share.

    The result depends on names, groups, lesions, shares and seed alone, not on the items' order.

    Args:
        items: The images.
        shares: Of train, valid and test; they sum to 1. A split with share 0 gets nothing.
        seed: Another one divides otherwise.
        noun: What a group is called: "patient", "volume"; "image" where each is by itself.

    Raises:
        DatasetError: There are fewer groups than splits with a share.
        ValueError: Shares are negative, or do not sum to 1.
    """
    check_shares(shares)
    members = _units(items, seed)
    wanted = [number for number, share in enumerate(shares) if share > 0]
    if told := too_few(len(members), shares, noun):
        raise DatasetError(told)
    sizes = np.array([_size([items[row] for row in rows]) for rows in members], dtype=np.float64)
    targets = np.outer(np.array(shares)[wanted], sizes.sum(0))
    division = _Division(sizes, np.full(len(sizes), -1, dtype=np.intp), targets, np.zeros_like(targets))
    _place(division)
    while _exchange(division):
        pass
    splits = [""] * len(items)
    for rows, place in zip(members, division.place, strict=True):
        for row in rows:
            splits[row] = SPLITS[wanted[place]]
    return splits


def too_few(groups: int, shares: Shares, noun: str) -> str | None:
    """Returns the sentence that refuses fewer groups than splits with a share; None where there are enough.

    Args:
        groups: How many there are.
        shares: Of train, valid and test.
        noun: What a group is called, as for `divide`.
    """
    wanted = sum(share > 0 for share in shares)
    if groups >= wanted:
        return None
    said = f"{counted(groups, noun)} cannot be divided into {wanted} splits"
    if noun == "image":
        return f"{said}: give more images"
    repair = "" if noun in ("volume", "series") else ", or a pattern that names each patient (--group_by)"
    return f"{said}, as a {noun} is never divided: give data of more {plural(noun)}{repair}"


def _units(items: Sequence[Item], seed: int) -> list[list[int]]:
    """Returns the rows of what is never divided, in an order that only names and seed decide."""
    members: dict[tuple[str, str], list[int]] = {}
    for row, item in enumerate(items):
        members.setdefault(("name", item.name) if item.group is None else ("group", item.group), []).append(row)

    def drawn(unit: tuple[str, str]) -> bytes:
        text = "\0".join((str(seed), *unit)).encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).digest()

    return [members[unit] for unit in sorted(members, key=drawn)]


def _size(unit: Sequence[Item]) -> tuple[int, int]:
    lesions = sum(item.lesion for item in unit)
    return lesions, len(unit) - lesions


def _place(division: _Division) -> None:
    """Places every unit where it fits best of all splits, so that the rest can still fill those that are empty.

    It fits best where the sum of count^2 / target grows least, which fills all splits in proportion to their targets.
    """
    targets = np.maximum(division.targets, _GAIN)
    for unit, size in enumerate(division.sizes):
        growth = ((division.counts + size / 2) / targets * size).sum(1)
        empty = ~division.counts.any(1)
        if np.count_nonzero(empty) == len(division.sizes) - unit:
            growth[~empty] = np.inf
        division.move(unit, int(growth.argmin()))


def _exchange(division: _Division) -> bool:
    """Exchanges the two units of different splits that gain most, or moves one; returns whether there was a gain."""
    best, chosen = -_GAIN, None
    for first, second in combinations(range(len(division.targets)), 2):
        units = [_kinds(division, first, second), _kinds(division, second, first)]
        sizes = [np.where(each[:, None] >= 0, division.sizes[each], 0.0) for each in units]
        change = sizes[1][None] - sizes[0][:, None]  # of the first's counts
        gain = division.excess(first, change) + division.excess(second, -change)
        row, column = np.unravel_index(int(gain.argmin()), gain.shape)
        if gain[row, column] < best:
            best, chosen = gain[row, column], ((units[0][row], second), (units[1][column], first))
    for unit, to in chosen or ():
        if unit >= 0:
            division.move(int(unit), to)
    return chosen is not None


def _kinds(division: _Division, split: int, other: int) -> NDArray[np.intp]:
    """Returns one unit of each size in a split, and -1 for none, if the other split may give one away for nothing."""
    units = np.flatnonzero(division.place == split)
    _, first = np.unique(division.sizes[units], axis=0, return_index=True)
    kinds = units[np.sort(first)][:_TYPES_AT_ONCE]
    spare = np.count_nonzero(division.place == other) > 1
    return np.append(kinds, -1) if spare else kinds
