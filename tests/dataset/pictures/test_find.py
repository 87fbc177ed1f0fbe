"""Which files are images to predict."""

from pathlib import Path

import pytest

from dataset.errors import DatasetError, Refusal
from dataset.pictures.find import find_pictures, none_usable


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_all_images_below_a_folder_are_found_by_their_endings(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("b.PNG", "a.tif", "deep/er/c.jpeg", "notes.txt", ".hidden.png", ".git/x.png")))
    found = find_pictures(tmp_path)
    assert found.names == ("a.tif", "b.PNG", "deep/er/c.jpeg")
    assert found.others == 1
    assert found.source.location("a.tif") == str(tmp_path / "a.tif")


def test_a_single_file_is_an_image_whatever_its_ending(tmp_path: Path) -> None:
    touch(tmp_path / "scan.avif", tmp_path / "beside.png")
    assert find_pictures(tmp_path / "scan.avif").names == ("scan.avif",)


def test_an_image_that_is_a_link_is_found(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "link.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    assert find_pictures(tmp_path / "scans").names == ("link.png",)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "holds no image (.png, .tif, .tiff, .jpg, .jpeg, .bmp, .gif, .webp): it is empty"),
        (["notes.txt"], ".webp): its one file is another, as notes.txt"),
        (["notes.txt", "x.pdf"], ".webp): none of its 2 files has such an ending, as notes.txt, x.pdf"),
        (
            ["a.nii.gz", "b.dcm"],
            "none of its 2 files has such an ending, but there are volumes (a.nii.gz, b.dcm): export their slices",
        ),
    ],
)
def test_a_folder_without_images_says_what_it_holds(tmp_path: Path, files: list[str], said: str) -> None:
    touch(*(tmp_path / name for name in files))
    with pytest.raises(DatasetError) as error:
        find_pictures(tmp_path)
    assert said in str(error.value)


def test_what_is_not_there_is_said_with_the_flag(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none is neither an image file nor a folder of images.*--predict"):
        find_pictures(tmp_path / "none")


def test_one_image_that_cannot_be_used_is_named_with_the_reason_and_the_kinds() -> None:
    error = none_usable("scans/a.png", [Refusal("", "a.png", None, None, "the image file is cut off")])
    assert str(error).startswith("a.png cannot be used: the image file is cut off; images are read from .png, .tif")
    assert error.problems == ("a.png: the image file is cut off",)
