"""The exception for data that cannot be used, and the record of a refused sample."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dataset.message_text import escaped, shortened

LISTED_PROBLEMS = 20  # lines; more would fill the screen without helping
_EXAMPLES = 3  # of one kind; where there are more, they share a line


class DatasetError(ValueError):
    """The data cannot be used as it is; the message says what is wrong, where, and what to do.

    Attributes:
        problems: The problems that the message reports, one text each.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        # Names may hold half surrogate pairs, with which printing or writing the message would fail.
        message = message.encode("utf-8", "backslashreplace").decode("utf-8")
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


@dataclass(frozen=True)
class Refusal:
    """A sample that is left out, or an annotation that belongs to no sample, and why.

    Attributes:
        split: "train", "valid" or "test"; empty where the data are not divided yet.
        file_name: As in the annotation file, or the file's own name; None where the fault is not tied to one image.
        image_id: COCO image id, where known.
        annotation_id: COCO annotation id, where an annotation is at fault.
        reason: What is wrong and what to do about it.
    """

    split: str
    file_name: str | None
    image_id: int | str | None
    annotation_id: int | str | None
    reason: str

    def __str__(self) -> str:
        """One line: place first, then the reason."""
        return f"{self.place}: {self.reason}"

    @property
    def place(self) -> str:
        """Split and file, and the ids that are known."""
        file = None if self.file_name is None else shortened(escaped(self.file_name))
        where = "/".join(part for part in (self.split, file) if part)
        ids = [
            f"{name} {value}"
            for name, value in (("image", self.image_id), ("annotation", self.annotation_id))
            if value is not None
        ]
        return f"{where} ({', '.join(ids)})" if ids else where


def combined_error(structural: Sequence[str], refused: Sequence[Refusal] = ()) -> DatasetError:
    """Builds the one error that reports every problem of all splits.

    Args:
        structural: Problems that remain even if bad samples are skipped; listed first.
        refused: Samples with faults. There is at least one problem of either kind.

    Returns:
        An error whose message has a line for each of the first `LISTED_PROBLEMS` problems; those of one kind, if they
        are more than three, share a line with their number and three examples.
    """
    problems = [*structural, *map(str, refused)]
    if len(structural) == 1 and not refused:
        return DatasetError(structural[0])
    lines, told = _lines(structural, refused)
    if told < len(problems):
        lines.append(f"  ... and {len(problems) - told} more")
    noun = "problem" if len(problems) == 1 else "problems"
    repair = "correct the files"
    if refused:
        which = "leave them out" if not structural else f"leave bad samples out (the last {len(refused)})"
        repair += f", or set skip_bad_samples (--skip_bad_samples) to {which}"
    return DatasetError("\n".join([f"the data set has {len(problems)} {noun}; {repair}:", *lines]), problems)


def _lines(structural: Sequence[str], refused: Sequence[Refusal]) -> tuple[list[str], int]:
    """Returns the message's lines, and how many problems they tell of."""
    kinds: dict[tuple[bool, str], list[tuple[str, str]]] = defaultdict(list)  # of each problem text and place
    for text in structural:
        kinds[False, _kind(text)].append((text, text))
    for refusal in refused:
        kinds[True, _kind(refusal.reason)].append((str(refusal), refusal.place))
    lines: list[str] = []
    told = 0
    for alike in kinds.values():
        if len(alike) > _EXAMPLES:
            more = "; ".join(place for _, place in alike[1:_EXAMPLES])
            shown = [(f"{len(alike)} problems like this: {alike[0][0]}; also {more}", len(alike))]
        else:
            shown = [(text, 1) for text, _ in alike]
        for line, problems in shown[: LISTED_PROBLEMS - len(lines)]:
            lines.append(f"  {line}")
            told += problems
    return lines, told


def _kind(text: str) -> str:
    """Returns what is the same in problems of one kind: the text without quotations, paths and numbers."""
    return re.sub(r"\d[\d.e+]*", "N", re.sub(r"'[^']*'(, '[^']*')*|\S*/\S+", "_", text))
