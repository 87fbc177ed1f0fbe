"""Divides data without splits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dataset.annotations.coco import Sample, SplitAnnotations
from dataset.errors import DatasetError, combined_error
from dataset.layout import SPLITS
from dataset.layouts.layout import Layout
from dataset.manifest import SampleEntry, SplitSummary
from dataset.message_text import counted, plural
from dataset.options import Shares
from dataset.splitting import Item, divide

_FAR = 0.05 + 1e-9  # of all images; what 10 patients of one size miss of 0.7, 0.15, 0.15 is less


def check_splits(layout: Layout, split: Shares | None) -> None:
    """Checks that data have splits or are to be divided, before anything is read.

    Raises:
        DatasetError: Neither, or both; or what hides which splits there are.
    """
    complete = set(SPLITS) <= {*layout.splits}
    if complete is (split is None):
        return
    if problems := layout.listing().problems:
        raise combined_error(problems)
    place = layout.source.location("")
    if split is None:
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
    raise DatasetError(
        f"{place} has the splits {', '.join(SPLITS)} (it was recognised as {layout.sentence}): leave out --split, "
        "or move all images into one folder to have them divided"
    )


def divide_part(
    parts: Sequence[SplitAnnotations], problems: Sequence[str], shares: Shares, seed: int, skip: bool, noun: str
) -> list[SplitAnnotations]:
    """Divides the samples of data without splits.

    Args:
        parts: The one part that was read; none where it could not be.
        problems: What is wrong already.
        shares: Of train, valid and test.
        seed: Seed of the division.
        skip: Whether bad samples are left out.
        noun: What is never divided, as for `dataset.splitting.divide`.

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
        splits = divide(items, shares, seed, noun)
    except DatasetError as error:  # of what else is wrong it may be the consequence, as images are missing
        raise combined_error(problems if problems or refused else error.problems, refused) from error
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


def division(splits: Mapping[str, SplitSummary], shares: Shares, seed: int, noun: str, row: str) -> str:
    """Returns the sentence about data that were divided.

    Args:
        splits: What is stored of every split, without what was refused.
        shares: Of train, valid and test.
        seed: Seed of the division.
        noun: What was never divided.
        row: What each sample is: "image" or "slice".
    """
    said = ", ".join(f"{share:g}" for share in shares)
    counts = ", ".join(f"{split} {_count(summary.samples, noun, row)}" for split, summary in splits.items())
    return f"the data were divided by {said} (seed {seed}) into {counts}"


def shares_missed(splits: Mapping[str, SplitSummary], shares: Shares, noun: str, row: str) -> list[str]:
    """Returns the warning about splits that are much larger or smaller than was asked for, because of whole groups.

    Args:
        splits: What is stored of every split.
        shares: Of train, valid and test.
        noun: What was never divided.
        row: What each sample is: "image" or "slice".
    """
    groups = Counter(sample.group or sample.file_name for summary in splits.values() for sample in summary.samples)
    images = groups.total()
    got = [summary.images / max(images, 1) for summary in splits.values()]
    far = any(abs(have - share) > max(_FAR, share / 2) for have, share in zip(got, shares, strict=True))
    if not far or len(groups) == images:  # single images come as close as it goes
        return []
    have, asked = (", ".join(f"{100 * share:.0f}" for share in each) for each in (got, shares))
    largest = groups.most_common(1)[0][1]
    repair = ", or, if these are not patients, give a --group_by that names them" if noun == "patient" else ""
    return [
        f"{', '.join(splits)} have {have} % of the {plural(row)}, and --split asks for {asked} %: a {noun} is never "
        f"divided, and there are {counted(len(groups), noun)}, the largest with {largest} of {counted(images, row)}; "
        f"give data of more {plural(noun)}{repair}"
    ]


def _count(samples: Sequence[SampleEntry], noun: str, row: str) -> str:
    groups = {sample.group for sample in samples}
    of = f" of {counted(len(groups), noun)}" if groups and None not in groups else ""
    return f"{counted(len(samples), row)}{of}"
