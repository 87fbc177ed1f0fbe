"""Patients from file names."""

import pytest

from dataset.groups import group_of, without_group
from dataset.options import check_pattern


@pytest.mark.parametrize(
    ("name", "pattern", "group"),
    [
        ("patient_07_slice_3.png", r"patient_\d+", "patient_07"),
        ("patient_07_slice_3.png", r"patient_(\d+)_", "07"),
        ("TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_1.tif", r"^([^/]+)/", "TCGA_CS_4941_19960909"),
        ("images/sub-1/t1.png", r"sub-\d+", "sub-1"),
        ("slice_3.png", r"patient_\d+", None),
        ("b.png", r"(a)|b", None),
        ("x_1.png", r"(y*)x", None),
        ("patient_07_slice_3.png", None, None),
    ],
)
def test_the_first_group_or_the_whole_match_names_the_patient(
    name: str, pattern: str | None, group: str | None
) -> None:
    assert group_of(name, pattern) == group


def test_files_of_no_patient_are_named_and_counted() -> None:
    assert without_group([f"{number}.png" for number in range(12)], r"p\d") == (
        r"--group_by 'p\d' finds no patient in the file name of '0.png', '1.png', '2.png' and 9 more: correct the "
        "pattern, so that every image is of a patient"
    )


@pytest.mark.parametrize("pattern", ["(", "[a-", "*"])
def test_what_is_no_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", ["", "a*", "x?"])
def test_a_pattern_that_any_name_matches_with_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="names no patient"):
        check_pattern(pattern)
