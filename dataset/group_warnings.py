"""What is told of patients: where they were taken from, and where that is in doubt."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from dataset.annotations.coco import SplitAnnotations
from dataset.groups import file_of, name_groups, shown
from dataset.layouts.layout import Layout
from dataset.manifest import SampleEntry
from dataset.message_text import counted, escaped, plural, quoted, shortened

_NAMED = 3  # folders in a message


@dataclass(frozen=True)
class Told:
    """What is told of the patients of a data set, in sentences.

    Attributes:
        problems: What keeps it from being used.
        warnings: What is in doubt.
        notes: Where patients were taken from.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Naming:
    """How one file came to its patient.

    Attributes:
        file: The image or volume.
        folder: The folder that looks like its patient; None where it lies in none.
        patient: The patient that a pattern finds in its name; None where there is no pattern, or it finds none.
    """

    file: str
    folder: str | None
    patient: str | None


def name_patients(layout: Layout, parts: Sequence[SplitAnnotations], pattern: str | None) -> Told:
    """Gives every sample the patient that a pattern finds in its name; without a pattern, folders may be patients.

    Args:
        layout: The data set.
        parts: What was read of it; the samples are replaced where there is a pattern.
        pattern: As for `dataset.groups.group_of`.
    """
    if pattern is None:
        return Told(notes=folders_taken(layout.patient_folders, layout.unit))
    recognised = [sample.group for part in parts for sample in part.samples]
    reader = layout.images(parts)
    problems = [sentence for part in parts for sentence in name_groups(part, reader, pattern)]
    samples = [sample for part in parts for sample in part.samples]
    folders = {*layout.patient_folders}
    files = {
        (sample.split, file): Naming(file, folder if folder in folders else None, sample.group)
        for sample, folder in zip(samples, recognised, strict=True)
        for file in (file_of(sample.file_name),)
    }
    return Told(problems, [] if problems else pattern_doubts([*files.values()], pattern, layout.unit))


def folders_taken(folders: Sequence[str], unit: str) -> list[str]:
    """Returns the note about folders that were taken as patients; none where there are none.

    Args:
        folders: These folders.
        unit: What a file holds: "image", "volume" or "series".
    """
    if not folders:
        return []
    return [
        f"patients were taken from the folders of the images ({_first(folders)}; {len(folders)} of them); if these are "
        f"not patients, give --group_by (--group_by '.+' where no two {plural(unit)} are of one patient)"
    ]


def pattern_doubts(files: Sequence[Naming], pattern: str, unit: str) -> list[str]:
    """Returns what is remarkable of the patients that a pattern finds, a sentence each with an example.

    Args:
        files: All files.
        pattern: The pattern.
        unit: What a file holds: "image", "volume" or "series".
    """
    said = f"--group_by {shown(pattern)}"
    by_folder: dict[str, dict[str, str]] = defaultdict(dict)  # of each folder its patients, with a file of each
    by_patient: dict[str, dict[str, None]] = defaultdict(dict)  # of each patient its folders
    for each in files:
        if each.folder is not None and each.patient is not None:
            by_folder[each.folder].setdefault(each.patient, each.file)
            by_patient[each.patient][each.folder] = None
    divided = [own for own in by_folder.values() if len(own) > 1]
    joined = {patient: [*own] for patient, own in by_patient.items() if len(own) > 1}
    patients = {each.patient for each in files if each.patient is not None}
    if len(patients) == len(files) > 1 and unit == "image" and (divided or not by_folder):
        first = files[0]
        return [
            f"{said} takes each of the {len(files)} images as a patient of its own ({quoted(first.file)} as "
            f"{quoted(first.patient)}): that is right only if no two are of one patient, whose images would otherwise "
            "come into several splits"
        ]
    found = []
    if divided:
        (one, file), (other, other_file), *_ = divided[0].items()
        found.append(
            f"{said} divides {len(divided)} of {counted(len(by_folder), 'folder')} that look like patients "
            f"({quoted(file)} is of {quoted(one)}, {quoted(other_file)} of {quoted(other)}): that is right only if "
            "these folders hold several patients each"
        )
    if joined:
        patient, folders = next(iter(joined.items()))
        several = len({*chain.from_iterable(joined.values())})
        found.append(
            f"{said} takes {several} of {counted(len(by_folder), 'folder')} that look like patients "
            f"together as {counted(len(joined), 'patient')} ({_first(folders)} as {quoted(patient)}): that is "
            "right only if such folders are of one patient"
        )
    return found


def partly_known(samples: Sequence[SampleEntry]) -> list[str]:
    """Returns the warning about images without a patient beside others that have one; none where all are alike.

    Args:
        samples: The stored images of all splits.
    """
    without = [sample.file_name for sample in samples if sample.group is None]
    if len(without) in (0, len(samples)):
        return []
    return [
        f"the patients of {len(without)} of {len(samples)} images are not known (the first: "
        f"{shortened(escaped(without[0]))}): intervals of a split with one of these are over images, and each counts "
        "as a patient of its own where data are divided; name the patient of every image by --group_by, or put these "
        "files into folders of patients"
    ]


def _first(folders: Sequence[str]) -> str:
    more = ", ..." if len(folders) > _NAMED else ""
    return f"{', '.join(shortened(escaped(folder)) for folder in folders[:_NAMED])}{more}"
