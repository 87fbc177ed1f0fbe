"""Divides data without splits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dataset.annotations.coco import Sample, SplitAnnotations
from dataset.errors import DatasetError, combined_error
from dataset.layout import SPLITS
from dataset.layouts.layout import Layout
from dataset.manifest import SampleEntry, SplitSummary
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
) -> list[SplitAnnotations]:
    """Divides the samples of data without splits.

    Args:
        parts: The one part that was read; none where it could not be.
        problems: What is wrong already.
        shares: Of train, valid and test.
        seed: Seed of the division.
        skip: Whether bad samples are left out.

    Returns:
        A part for each split.

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
    return [
        replace(whole, split=first, samples=own[first]),
        *(replace(empty, split=split, samples=own[split], notes=type(whole.notes)()) for split in others),
    ]


def division(splits: Mapping[str, SplitSummary], shares: Shares, seed: int) -> str:
    """Returns the sentence about data that were divided.

    Args:
        splits: What is stored of every split, without what was refused.
        shares: Of train, valid and test.
        seed: Seed of the division.
    """
    said = ", ".join(f"{share:g}" for share in shares)
    counts = ", ".join(f"{split} {_count(summary.samples)}" for split, summary in splits.items())
    return f"the data were divided by {said} (seed {seed}) into {counts}"


def _count(samples: Sequence[SampleEntry]) -> str:
    groups = {sample.group for sample in samples}
    of = f" of {len(groups)} {'group' if len(groups) == 1 else 'groups'}" if groups and None not in groups else ""
    return f"{len(samples)} images{of}"
