"""Reads the folder of one case, and says whether what comes of it is allowed."""

import dataclasses
import re
import shutil
import time
import traceback
from pathlib import Path

import numpy as np

from dataset.annotations.coco import read_annotations
from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.ingest import IngestOptions, ingest
from dataset.layout import ANNOTATION_FILE, SPLITS
from dataset.message_text import is_clean
from dataset.sources.local_folder import LocalFolder
from dataset.store import Dataset
from tests.dataset.memory import peak_megabytes
from tests.fuzz import annotations, folders

BUILDERS = {"annotations": annotations.build, "folders": folders.build}
SECONDS = 5.0
MEGABYTES = 1024


@dataclasses.dataclass(frozen=True)
class Case:
    """A part's name and a number: together they give the same folder again."""

    part: str
    number: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        refusals: The kinds of refusal it met; empty for a result.
        finding: What must not happen, or None.
        seconds: For reading, without building the folder.
        megabytes: The process's peak memory so far.
    """

    refusals: tuple[str, ...] = ()
    finding: str | None = None
    seconds: float = 0.0
    megabytes: int = 0


def run_case(case: Case, place: Path) -> Outcome:
    """Builds a case's folder in `place`, reads it, and removes it unless there is a finding."""
    root, out = place / "data", place / "stored" / "dataset"
    options = BUILDERS[case.part](root, case.number)
    refusals: tuple[str, ...] = ()
    finding = None
    begin = time.monotonic()
    try:
        refusals = _read(case, root, out, options)
    except AssertionError as error:
        finding = f"wrong result: {error}"
    except Exception:  # noqa: BLE001 - any other is what is looked for
        finding = traceback.format_exc(limit=-3)
    seconds = time.monotonic() - begin
    megabytes = peak_megabytes()
    if finding is None and seconds > SECONDS:
        finding = f"it took {seconds:.1f} s"
    if finding is None and megabytes > MEGABYTES:
        finding = f"it took {megabytes} MB"
    if finding is None:
        shutil.rmtree(place)
    return Outcome(refusals, finding, seconds, megabytes)


def _read(case: Case, root: Path, out: Path, options: IngestOptions) -> tuple[str, ...]:
    """Reads a folder as the pipeline does; returns the kinds of refusal, or none after checking the result."""
    refusals: tuple[str, ...] = ()
    try:
        if case.part == "annotations":
            read_annotations(LocalFolder(root), SPLITS[0])
    except DatasetError as error:
        _check_message(error)
    try:
        fingerprint(root, options.num_workers)
        ingest(root, out, options)
    except DatasetError as error:
        _check_message(error)
        refusals = tuple(kind_of(problem, root) for problem in error.problems)
        left = sorted(path.name for path in out.parent.iterdir()) if out.parent.exists() else []
        assert not left, f"left behind: {left}"
    else:
        _check_result(Dataset.open(out), options)
    return refusals


def _check_message(error: DatasetError) -> None:
    str(error).encode("utf-8")
    assert is_clean(str(error).replace("\n", "")), f"control characters in {str(error)!r}"
    assert len(str(error)) < 20_000, "the message is too long"
    assert len(str(error).splitlines()) <= 22, "the message has too many lines"
    assert error.problems and all(error.problems), "no problem is reported"


def _check_result(stored: Dataset, options: IngestOptions) -> None:
    labels = len(stored.manifest.classes)
    for split in SPLITS:
        part = stored[split]
        assert len(part) > 0, f"{split} is empty"
        assert part.images.shape[1:] == (*options.image_size, options.channels), f"images of {part.images.shape}"
        assert np.max(part.masks) < labels, f"{split} has label {np.max(part.masks)} of {labels}"
        assert len(part.file_names) == len(part.image_ids) == len(part), "names and rows differ"
    assert np.any(stored["train"].masks), "there is nothing to learn"
    assert options.skip_bad_samples or not stored.manifest.refused, "refusals were passed over"


def kind_of(problem: str, root: Path) -> str:
    """Reduces a message to its kind: without place, numbers and quotations."""
    text = problem.replace(f"{root}/", "").replace(str(root), "the data set")
    text = re.sub(rf"^(train|valid|test)/{re.escape(ANNOTATION_FILE)}", "FILE", text)
    text = re.sub(r"^(train|valid|test)(/[^:]*?)?( \([^()]*\))?: ", "", text)
    text = re.sub(r"^(train|valid|test)(?=[/ ])", "SPLIT", text)
    text = re.sub(r"the first: .*|not JSON of use \(.*\)", "...", text)
    text = re.sub(r"'[^']*'\.{0,3}(?= |$)|\([^()]*\)|folder [a-z, ]+", "_", text)
    return re.sub(r"[-+]?\d[\d.e+]*", "N", text)[:80]
