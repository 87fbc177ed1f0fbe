"""Writes predicted masks: a mask and an overlay an image, and a table of all."""

from __future__ import annotations

import csv
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from analysis.mask_numbers import MaskNumbers, mask_numbers
from dataset.cores import in_order, usable_cores
from models.predicted import Predicted
from reporting.overlay import overlay
from reporting.prediction_folder import LEFT_OUT, MASKS, OVERLAYS, TABLE

_PNG = ".png"
_NUMBERS = [field.name for field in dataclasses.fields(MaskNumbers)]


def write_predictions(
    predicted: Iterable[Predicted], names: Sequence[str], folder: Path, classes: int, num_workers: int = 0
) -> int:
    """Writes masks, overlays and the table as they come; few images are in memory at a time.

    A mask is a gray PNG in the image's size: 0 and 255 where the network knows one class, else the label of each
    pixel. The table has a row an image: the area of the mask, whatever the label, and with several classes the same
    for each label, in columns that end in its number.

    Args:
        predicted: The masks.
        names: Of all images, so that no two get one file.
        folder: Where to, empty.
        classes: 1, or how many labels the network knows, background included.
        num_workers: Threads that write; 0 for as many as cores may be used.

    Returns:
        How many masks there are.
    """
    for name in (MASKS, OVERLAYS):
        (folder / name).mkdir()
    threads, targets, written = num_workers or usable_cores(), target_names(names), 0
    write = functools.partial(_write, folder, targets, classes)
    columns = ["file_name", "width", "height", *_NUMBERS]
    columns += [f"{number}_{label}" for label in range(1, classes) for number in _NUMBERS]
    with _table(folder / TABLE) as stream, ThreadPoolExecutor(threads) as pool:
        table = csv.writer(stream)
        table.writerow([*columns, "mask"])
        for row in in_order(pool, write, predicted, threads):
            table.writerow(row)
            written += 1
    return written


def write_left_out(refused: Iterable[tuple[str, str]], folder: Path) -> None:
    """Writes the table of images without a mask.

    Args:
        refused: Name and fault of each.
        folder: Where to.
    """
    with _table(folder / LEFT_OUT) as stream:
        table = csv.writer(stream)
        table.writerow(["file_name", "reason"])
        table.writerows(refused)


def target_names(names: Iterable[str]) -> dict[str, str]:
    """Returns the file of each image's mask and overlay: its own name, with `.png` behind it where it has another end.

    Where that is another image's, or a folder's, one more `.png` is put behind it.
    """
    names = sorted(names)
    taken = {str(parent).casefold() for name in names for parent in PurePosixPath(name).parents}
    targets = {}
    for name in names:
        target = name if name.casefold().endswith(_PNG) else f"{name}{_PNG}"
        while target.casefold() in taken:  # casefold: some file systems take no notice of case
            target += _PNG
        taken.add(target.casefold())
        targets[name] = target
    return targets


def _write(folder: Path, targets: Mapping[str, str], classes: int, predicted: Predicted) -> list[object]:
    """Writes the files of one image, and returns its row of the table."""
    target, labels = targets[predicted.name], predicted.labels
    mask = labels * np.uint8(255) if classes == 1 else labels
    _write_png(folder / MASKS / target, mask)
    _write_png(folder / OVERLAYS / target, cv2.cvtColor(overlay(predicted.image, labels), cv2.COLOR_RGB2BGR))
    numbers = _cells(mask_numbers(labels > 0, predicted.probability))
    for label in range(1, classes):
        numbers += _cells(mask_numbers(labels == label, predicted.probability))
    return [predicted.name, labels.shape[1], labels.shape[0], *numbers, f"{MASKS}/{target}"]


def _cells(numbers: MaskNumbers) -> list[str]:
    values = dataclasses.astuple(numbers)
    return ["" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value) for value in values]


def _write_png(file: Path, pixels: NDArray[Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(cv2.imencode(_PNG, pixels)[1].tobytes())


def _table(file: Path) -> TextIO:
    return file.open("w", encoding="utf-8", errors="backslashreplace", newline="")
