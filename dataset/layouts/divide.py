"""Divides data without splits."""

from collections.abc import Sequence
from dataclasses import replace

from dataset.annotations.coco import Sample, SplitAnnotations
from dataset.errors import DatasetError, combined_error
from dataset.layout import SPLITS
from dataset.layouts.layout import Layout
from dataset.options import Shares
from dataset.splitting import Item, divide


def check_splits(layout: Layout, split: Shares | None) -> None:
    """Checks that data have splits or are to be divided, before anything is read.

    Raises:
        DatasetError: Neither, or both.
    """
    complete = set(SPLITS) <= {*layout.splits}
    place = layout.source.location("")
    if split is None and not complete:
        missing = [name for name in SPLITS if name not in layout.splits]
        noun = "split" if len(layout.splits) == 1 else "splits"
        found = f"only the {noun} {', '.join(layout.splits)}" if layout.splits else "no splits"
        folders = (
            f"add the folder {' and '.join(missing)}"
            if layout.splits
            else "put them into folders train, valid and test"
        )
        raise DatasetError(
            f"{place} has {found} (it was recognised as {layout.sentence}): give "
            f'--split "0.7,0.15,0.15" to divide all its images, or {folders}'
        )
    if split is not None and complete:
        raise DatasetError(
            f"{place} has the splits {', '.join(SPLITS)} (it was recognised as {layout.sentence}): leave out --split, "
            "or move all images into one folder to have them divided"
        )


def divide_part(
    parts: Sequence[SplitAnnotations], problems: Sequence[str], shares: Shares, seed: int, skip: bool
) -> tuple[list[SplitAnnotations], list[str]]:
    """Divides the samples of data without splits.

    Args:
        parts: The one part that was read; none where it could not be.
        problems: What is wrong already.
        shares: Of train, valid and test.
        seed: Seed of the division.
        skip: Whether bad samples are left out.

    Returns:
        A part for each split, and a sentence about them.

    Raises:
        DatasetError: They cannot be divided; the message has all problems.
    """
    refused = [] if skip else [refusal for part in parts for refusal in part.refused]
    if not parts:
        raise combined_error(problems, refused)
    (whole,) = parts
    items = [Item(sample.file_name, sample.group, bool(sample.annotations)) for sample in whole.samples]
    try:
        splits = divide(items, shares, seed)
    except DatasetError as error:
        raise combined_error([*problems, *error.problems], refused) from error
    own: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    for sample, split in zip(whole.samples, splits, strict=True):
        own[split].append(replace(sample, split=split))
    # What concerns no sample of a certain split is kept with the first.
    empty = replace(whole, samples=[], refused=[], notes=type(whole.notes)(), dropped=type(whole.dropped)())
    first, *others = SPLITS
    divided = [
        replace(whole, split=first, samples=own[first]),
        *(replace(empty, split=split, samples=own[split], notes=type(whole.notes)()) for split in others),
    ]
    return divided, [_sentence(own, shares, seed)]


def _sentence(own: dict[str, list[Sample]], shares: Shares, seed: int) -> str:
    said = ", ".join(f"{share:g}" for share in shares)
    counts = ", ".join(f"{split} {_count(samples)}" for split, samples in own.items())
    return f"the data have no splits: they were divided by {said} (seed {seed}) into {counts}"


def _count(samples: Sequence[Sample]) -> str:
    groups = {sample.group for sample in samples}
    of = f" of {len(groups)} groups" if None not in groups else ""
    return f"{len(samples)} images{of}"
