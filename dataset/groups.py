"""Which images are of one patient, by the names of their files."""

import functools
import re
from collections.abc import Sequence
from dataclasses import replace

from dataset.annotations.coco import Sample, SplitAnnotations
from dataset.layouts.layout import ImageReader, Layout
from dataset.message_text import escaped, quoted, shortened
from dataset.sources.split_names import SPLIT_FOLDERS

_NAMED = 3  # names in a message
_SLICE = re.compile(r"(?<=\.nii|i\.gz):\d+$", re.IGNORECASE)  # what a slice's name has after its volume's


def group_of(name: str, pattern: str | None) -> str | None:
    """Returns the patient that a file is of.

    Args:
        name: The file's name with its folders below the data, or below the split's folder where there are splits, so
            that a patient has the same name in all of them.
        pattern: A regular expression, searched for in the name: its first group in parentheses names the patient, or
            the whole match if it has none.

    Returns:
        The text that matched; None where there is no pattern, or where it names nothing.

    Raises:
        re.error: The pattern is no regular expression; `dataset.options.check_pattern` says so at the command line.
    """
    found = _compiled(pattern).search(name) if pattern is not None else None
    if found is None:
        return None
    return (found[1] if found.re.groups else found[0]) or None


def name_groups(part: SplitAnnotations, reader: ImageReader, pattern: str) -> list[str]:
    """Gives every sample of a split its patient.

    Args:
        part: The split, or all data where there are none; its samples are replaced. A slice is of the patient that its
            volume's file names.
        reader: What reads the images; it knows which of them are one volume or series.
        pattern: As for `group_of`.

    Returns:
        What is wrong: sentences where the pattern names no patient of some files, or several of one volume.
    """
    part.samples[:] = [
        replace(sample, group=group_of(seen(sample.file_name, part.split), pattern)) for sample in part.samples
    ]
    nameless = [*dict.fromkeys(file_of(sample.file_name) for sample in part.samples if sample.group is None)]
    found = [without_group(nameless, pattern)] if nameless else []
    if divided := [
        unit for unit in reader.batches(part.samples) if len({sample.group for sample in unit} - {None}) > 1
    ]:
        found.append(_dividing(divided, pattern))
    place = f"{part.split}: " if part.split else ""
    return [f"{place}{sentence}" for sentence in found]


def _dividing(units: Sequence[Sequence[Sample]], pattern: str) -> str:
    """Returns the sentence that refuses a pattern which finds several patients in one volume or series."""
    first = units[0][0]
    other = next(sample for sample in units[0] if sample.group != first.group)
    return (
        f"--group_by {shown(pattern)} divides what is one volume or series, {len(units)} times: "
        f"{shortened(first.file_name)} is of {quoted(first.group)}, {shortened(other.file_name)} of "
        f"{quoted(other.group)}; correct the pattern, so that it names the patient alone"
    )


def without_group(names: Sequence[str], pattern: str) -> str:
    """Returns the sentence that refuses files of which the pattern names no patient.

    Args:
        names: These files; at least one.
        pattern: The pattern.
    """
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    listed = ", ".join(quoted(name) for name in names[:_NAMED])
    return (
        f"--group_by {shown(pattern)} finds no patient in the file name of {listed}{more}: correct the pattern, "
        "so that every image is of a patient"
    )


def shown(pattern: str) -> str:
    """Returns a pattern as it was typed, in quotation marks: without the backslashes that Python would add."""
    return f"'{shortened(escaped(pattern))}'"


def file_of(name: str) -> str:
    """Returns the file of a sample: of a slice, its volume's."""
    return _SLICE.sub("", name)


def group_noun(layout: Layout, pattern: str | None) -> str:
    """Returns what is never divided: "patient", "volume" or "series"; "image" where each is by itself."""
    return "patient" if pattern is not None or layout.patient_folders else layout.unit


def row_noun(layout: Layout) -> str:
    """Returns what each sample is: "image", or "slice" of a volume or series."""
    return "image" if layout.unit == "image" else "slice"


def seen(name: str, split: str) -> str:
    """Returns of a sample's name what a pattern sees: neither the folder of its split nor the number of a slice."""
    name = file_of(name)
    folder, slash, rest = name.partition("/")
    return rest if slash and folder.casefold() in SPLIT_FOLDERS.get(split, ()) else name


@functools.cache
def _compiled(pattern: str) -> "re.Pattern[str]":
    return re.compile(pattern)
