"""What can be wrong with a data set: the exception, and the record of a refused sample."""

from collections.abc import Sequence
from dataclasses import dataclass

LISTED_PROBLEMS = 20  # more fill the screen without helping: they mostly repeat the first ones


class DatasetError(ValueError):
    """The data cannot be used as it is; the message says what is wrong, where, and what to do."""


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
        where = f"{self.split}/{self.file_name}" if self.file_name is not None else self.split
        ids = [
            f"{name} {value}"
            for name, value in (("image", self.image_id), ("annotation", self.annotation_id))
            if value is not None
        ]
        return f"{where} ({', '.join(ids)}): {self.reason}" if ids else f"{where}: {self.reason}"


def refusals_error(refused: Sequence[Refusal]) -> DatasetError:
    """Builds the one error that reports every refused sample of all splits.

    Args:
        refused: At least one refusal.

    Returns:
        An error whose message lists the first `LISTED_PROBLEMS` refusals and counts the others.
    """
    lines = [f"  {refusal}" for refusal in refused[:LISTED_PROBLEMS]]
    if len(refused) > LISTED_PROBLEMS:
        lines.append(f"  ... and {len(refused) - LISTED_PROBLEMS} more")
    noun = "problem" if len(refused) == 1 else "problems"
    head = f"the data set has {len(refused)} {noun}; correct the files, or set skip_bad_samples to leave them out:"
    return DatasetError("\n".join([head, *lines]))
