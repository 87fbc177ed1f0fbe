"""What is said of data that were divided."""

import pytest

from dataset.ingest import ingest
from dataset.layouts.divide import division, shares_missed
from dataset.manifest import SampleEntry, SplitSummary
from tests.dataset.coco_folder import options
from tests.dataset.layouts.written import mask, picture, write

SHARES = (0.7, 0.15, 0.15)


def split(*sizes: int, first: int = 0, known: bool = True) -> SplitSummary:
    """A split of groups of these sizes; of images by themselves where their groups are not known."""
    samples = [
        SampleEntry(f"{group}_{number}.png", number, f"p{group}" if known else None)
        for group, size in enumerate(sizes, first)
        for number in range(size)
    ]
    return SplitSummary(len(samples), 0, 0, 0, 0, 0, None, {}, [], samples)


def splits(train: SplitSummary, valid: SplitSummary, test: SplitSummary) -> dict[str, SplitSummary]:
    return {"train": train, "valid": valid, "test": test}


def test_three_folders_are_far_from_the_shares_that_were_asked_for():
    (told,) = shares_missed(splits(split(10), split(10, first=1), split(10, first=2)), SHARES, "patient", "image")
    assert told == (
        "train, valid, test have 33, 33, 33 % of the images, and --split asks for 70, 15, 15 %: a patient is never "
        "divided, and there are 3 patients, the largest with 10 of 30 images; give data of more patients, or, if these "
        "are not patients, give a --group_by that names them"
    )


def test_of_volumes_it_is_said_what_helps():
    (told,) = shares_missed(splits(split(90), split(5, first=1), split(5, first=2)), SHARES, "volume", "slice")
    assert "there are 3 volumes, the largest with 90 of 100 slices; give data of more volumes" in told
    assert "--group_by" not in told


@pytest.mark.parametrize(
    "given",
    [
        splits(split(*[3] * 7), split(3, first=7), split(3, 3, first=8)),  # ten patients
        splits(split(3, known=False), split(1, first=1, known=False), split(1, first=2, known=False)),  # five images
    ],
)
def test_what_is_as_near_as_it_goes_is_not_remarkable(given):
    assert shares_missed(given, SHARES, "patient", "image") == []


def test_groups_are_called_what_they_are_and_counted_in_their_number():
    given = splits(split(2, 2), split(1, first=2), split(5, first=3))
    assert division(given, SHARES, 0, "volume", "slice").endswith(
        "train 4 slices of 2 volumes, valid 1 slice of 1 volume, test 5 slices of 1 volume"
    )
    alone = splits(*(split(1, known=False) for _ in range(3)))
    assert division(alone, SHARES, 0, "image", "image").endswith("train 1 image, valid 1 image, test 1 image")


def test_few_folders_are_warned_of_before_any_training(tmp_path, capsys):
    for batch in range(3):
        for number in range(4):
            stem = tmp_path / "data" / f"batch_{batch}" / str(number)
            write(stem.with_suffix(".png"), picture(10 * batch + number))
            write(stem.with_name(f"{number}_mask.png"), mask())
    manifest = ingest(tmp_path / "data", tmp_path / "out", options(split=SHARES)).manifest
    (told,) = manifest.warnings
    assert "there are 3 patients, the largest with 4 of 12 images" in told
    assert f"warning: {told}" in capsys.readouterr().err
