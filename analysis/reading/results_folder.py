"""The results of a finished run as tables of pandas, read from the files in its folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

_SUMMARY, _VARIANTS, _IMAGES = "experiment_summary.json", "results.csv", "per_image.csv"
_FILES = (_SUMMARY, _VARIANTS, _IMAGES)
_TEXTS = ("variant", "split", "file_name", "group")  # which look like numbers in some data sets
_REPAIR = "name the --out_dir of a run that has finished, or run the same command again"


class ResultsError(ValueError):
    """A folder does not hold the results of a finished run; the message says what is missing and what to do."""


class Results(NamedTuple):
    """A run as two tables.

    Attributes:
        variants: A row for each network, the baseline first. Columns are those of `results.csv` (`variant`, `method`,
            `dice`, `params`, ...), and `recommended` (bool). What a variant has no value of is missing (NaN).
        images: A row for each image of a split (`valid`, `test`) and network. Columns are those of `per_image.csv`:
            `variant`, `split`, `file_name`, `dice`, `iou`, `lesion_px`, and so on.
    """

    variants: pd.DataFrame
    images: pd.DataFrame


def load_results(out_dir: str | Path) -> Results:
    """Reads the results of a run.

    Args:
        out_dir: The run's `--out_dir`.

    Returns:
        The variants and the images, as two tables.

    Raises:
        ResultsError: There is no such folder, it holds no finished run, or a file of it is damaged.
    """
    folder = Path(out_dir)
    _check_finished(folder)
    summary = _summary(folder / _SUMMARY)
    variants, images = (_table(folder / name) for name in (_VARIANTS, _IMAGES))
    names = [str(entry["name"]) for entry in _entries(summary)]
    for name, table in ((_VARIANTS, variants), (_IMAGES, images)):
        if set(table["variant"]) != set(names):
            others = ", ".join(sorted(set(table["variant"]) ^ set(names)))
            raise ResultsError(f"{folder / name} is of another run than {_SUMMARY} beside it ({others}): {_REPAIR}")
    variants["recommended"] = variants["variant"] == summary["recommended"]
    return Results(variants, images)


def _check_finished(folder: Path) -> None:
    """Raises ResultsError where the files that a run writes last are not all there."""
    if not folder.is_dir():
        raise ResultsError(f"there is no folder {folder}: {_REPAIR}")
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ResultsError(f"{folder} holds no finished run, it lacks {', '.join(missing)}: {_REPAIR}")


def _summary(file: Path) -> dict[str, Any]:
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultsError(f"{file} is damaged ({error}): {_REPAIR}") from error
    if not isinstance(summary, dict) or not {"baseline", "recommended"} <= summary.keys():
        raise ResultsError(f"{file} is no summary of a run, it has no `baseline` or `recommended`: {_REPAIR}")
    return summary


def _entries(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the entries of all networks in a summary, which keeps a list for each method beside the baseline."""
    methods = [entries for key, entries in summary.items() if key.endswith("_variants")]
    return [summary["baseline"], *(entry for entries in methods for entry in entries)]


def _table(file: Path) -> pd.DataFrame:
    """Returns a CSV file as a table; names stay texts, also where all of them are numbers."""
    import pandas as pd  # noqa: PLC0415 - takes half a second, and is asked for by few

    try:
        with file.open(encoding="utf-8", newline="") as lines:
            header = next(csv.reader(lines), [])
        texts = {name: str for name in _TEXTS if name in header}
        table = pd.read_csv(file, dtype=texts, keep_default_na=False, na_values=[""])
    except (ValueError, csv.Error) as error:
        raise ResultsError(f"{file} is damaged ({error}): {_REPAIR}") from error
    needed = ("variant",) if file.name == _VARIANTS else ("variant", "split", "file_name")
    if absent := [name for name in needed if name not in header]:
        raise ResultsError(f"{file} has no column {', '.join(absent)}: {_REPAIR}")
    return table
