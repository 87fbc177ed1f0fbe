"""What is certainly wrong with a data set by the names of its files alone, told before any image or mask is read."""

from collections.abc import Sequence

from dataset.errors import Refusal, combined_error
from dataset.groups import group_noun, group_of, seen, without_group
from dataset.layouts.layout import Layout, Listed
from dataset.options import Shares
from dataset.splitting import too_few


def check_names(layout: Layout, pattern: str | None, shares: Shares | None, skip: bool) -> None:
    """Checks that images have masks, that a pattern names their patients, and that these can be divided.

    Args:
        layout: The data set.
        pattern: What names the patient of a file; None where nothing was said.
        shares: Of train, valid and test; None where the data have splits.
        skip: Whether bad samples are left out; some that are listed may then be gone.

    Raises:
        DatasetError: All that is wrong, in one message. Reading all of the data set may find more.
    """
    listing = layout.listing()
    problems: list[str] = [*listing.problems]
    refused: list[Refusal] = [] if skip else listing.refused
    groups = [each.group for each in listing.entries]
    if pattern is not None:
        groups = [group_of(seen(each.file_name, each.split), pattern) for each in listing.entries]
        problems += _nameless(listing.entries, groups, pattern, skip)
    if shares is not None and listing.entries and not problems and not refused:  # what else is wrong hides images
        units = {
            (group is not None, group or each.file_name) for each, group in zip(listing.entries, groups, strict=True)
        }
        told = too_few(len(units), shares, group_noun(layout, pattern))
        problems += [told] if told else []
    if problems or refused:
        raise combined_error(problems, refused)


def _nameless(entries: Sequence[Listed], groups: Sequence[str | None], pattern: str, skip: bool) -> list[str]:
    """Returns a sentence for each split with files of which the pattern names no patient."""
    nameless = [each for each, group in zip(entries, groups, strict=True) if group is None]
    if skip and len(nameless) < len(entries):  # they may be the bad ones
        return []
    return [
        (f"{split}: " if split else "")
        + without_group([each.file_name for each in nameless if each.split == split], pattern)
        for split in dict.fromkeys(each.split for each in nameless)
    ]
