"""The exception for data that cannot be used, and the record of a refused sample."""

from collections.abc import Sequence
from dataclasses import dataclass

from dataset.message_text import escaped, shortened

LISTED_PROBLEMS = 20  # more would fill the screen without helping: most repeat the first ones


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
        split: "train", "valid" or "test".
        file_name: As in the annotation file; None where the fault is not tied to one image.
        image_id: COCO image id, where known.
        annotation_id: COCO annotation id, where an annotation is at fault.
        reason: What is wrong and what to do about it.
    """

    split: str
    file_name: str | None
    image_id: int | None
    annotation_id: int | None
    reason: str

    def __str__(self) -> str:
        """One line: place first, then the reason."""
        where = self.split if self.file_name is None else f"{self.split}/{shortened(escaped(self.file_name))}"
        ids = [
            f"{name} {value}"
            for name, value in (("image", self.image_id), ("annotation", self.annotation_id))
            if value is not None
        ]
        return f"{where} ({', '.join(ids)}): {self.reason}" if ids else f"{where}: {self.reason}"


def combined_error(structural: Sequence[str], refused: Sequence[Refusal] = ()) -> DatasetError:
    """Builds the one error that reports every problem of all splits.

    Args:
        structural: Problems that remain even if bad samples are skipped; listed first.
        refused: Samples with faults. There is at least one problem of either kind.

    Returns:
        An error whose message lists the first `LISTED_PROBLEMS` problems and counts the others.
    """
    problems = [*structural, *map(str, refused)]
    if len(structural) == 1 and not refused:
        return DatasetError(structural[0])
    lines = [f"  {problem}" for problem in problems[:LISTED_PROBLEMS]]
    if len(problems) > LISTED_PROBLEMS:
        lines.append(f"  ... and {len(problems) - LISTED_PROBLEMS} more")
    noun = "problem" if len(problems) == 1 else "problems"
    repair = "correct the files"
    if refused:
        which = "leave them out" if not structural else f"leave bad samples out (the last {len(refused)})"
        repair += f", or set skip_bad_samples (--skip_bad_samples) to {which}"
    return DatasetError("\n".join([f"the data set has {len(problems)} {noun}; {repair}:", *lines]), problems)
