"""The folder of predicted masks: what is in it, and how it takes the place of an earlier one. Imports nothing slow."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from torch_lowrank.whole_files import whole_folder, write_whole

MASKS, OVERLAYS = "masks", "overlays"
TABLE, LEFT_OUT = "predictions.csv", "left_out.csv"
_MADE = ".predicted.json"  # in MASKS and OVERLAYS: the files that a prediction wrote there, no others
_SHOWN = 3


class PredictionFolderError(ValueError):
    """Masks cannot be written to a folder without removing files that no prediction has written."""


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Predicted masks on disk: `masks/`, `overlays/`, `predictions.csv`, and `left_out.csv` where images were.

    Attributes:
        folder: Where they lie.
    """

    folder: Path

    def rows(self) -> Iterator[dict[str, str]]:
        """Yields the rows of the table, one an image."""
        return _rows(self.folder / TABLE)

    def left_out(self) -> list[tuple[str, str]]:
        """Returns name and fault of each image that has no mask."""
        file = self.folder / LEFT_OUT
        return [(row["file_name"], row["reason"]) for row in _rows(file)] if file.exists() else []


def check_replaceable(folder: Path) -> None:
    """Checks that results can take the place of what is in a folder: of files that a prediction wrote, and no others.

    Raises:
        PredictionFolderError: There are others.
    """
    for name in (MASKS, OVERLAYS):
        place = folder / name
        if not os.path.lexists(place):
            continue
        others = sorted(_files(place) - _made(place)) if place.is_dir() and not place.is_symlink() else [""]
        if others:
            shown = ", ".join(str(place / other) for other in others[:_SHOWN])
            raise PredictionFolderError(
                f"{place} would be replaced, and holds what no prediction has written ({shown}): choose "
                "another --out_dir"
            )


def replace_results(predictions: Predictions, folder: Path) -> None:
    """Copies predictions to a folder, in the place of earlier ones; other files in it are left alone.

    The table comes last, and the earlier one goes first: where it is, masks and overlays are those that it tells of.

    Raises:
        PredictionFolderError: It has files in the place of masks or overlays that no prediction wrote.
    """
    check_replaceable(folder)
    for name in (TABLE, LEFT_OUT):
        (folder / name).unlink(missing_ok=True)
    for name in (MASKS, OVERLAYS):
        with whole_folder(folder / name) as new:
            shutil.copytree(predictions.folder / name, new, dirs_exist_ok=True)
            (new / _MADE).write_text(json.dumps(sorted(_files(new))), encoding="utf-8")
    for name in (LEFT_OUT, TABLE):
        if (predictions.folder / name).exists():
            write_whole(folder / name, (predictions.folder / name).read_bytes())


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


def _files(folder: Path) -> set[str]:
    return {
        os.path.relpath(os.path.join(place, name), folder)  # noqa: PTH118 - a million of them
        for place, _, names in os.walk(folder)
        for name in names
    }


def _made(folder: Path) -> set[str]:
    try:
        return {_MADE, *map(str, json.loads((folder / _MADE).read_bytes()))}
    except (OSError, ValueError, TypeError):  # there is none, or it is damaged
        return set()
