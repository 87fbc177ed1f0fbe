"""Masks, overlays and the table on disk."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.predicted import Predicted
from reporting.prediction_folder import Predictions
from reporting.predictions import target_names, write_left_out, write_predictions


def predicted(name: str, labels: np.ndarray, probability: float = 0.75) -> Predicted:
    image = np.full((*labels.shape, 1), 50, np.uint8)
    return Predicted(name, image, labels, np.full(labels.shape, probability, np.float32))


def labels(*values: int) -> np.ndarray:
    """One row of three pixels a value, on a background of as many."""
    drawn = np.zeros((2 * len(values), 6), np.uint8)
    for row, value in enumerate(values):
        drawn[2 * row, :3] = value
    return drawn


def read(file: Path) -> np.ndarray:
    return cv2.imread(str(file), cv2.IMREAD_UNCHANGED)


def test_a_mask_of_one_class_is_black_and_white(tmp_path: Path) -> None:
    done = [predicted("deep/a.png", labels(1, 0)), predicted("b.jpg", labels(0, 0))]
    assert write_predictions(done, ["deep/a.png", "b.jpg"], tmp_path, 1) == 2
    np.testing.assert_array_equal(read(tmp_path / "masks" / "deep" / "a.png"), labels(255, 0))
    np.testing.assert_array_equal(read(tmp_path / "masks" / "b.jpg.png"), labels(0, 0))
    assert read(tmp_path / "overlays" / "deep" / "a.png").shape == (4, 6, 3)
    assert tuple(read(tmp_path / "overlays" / "deep" / "a.png")[0, 0]) == (0x00, 0x9F, 0xE6)  # orange, as BGR
    assert list(Predictions(tmp_path).rows()) == [
        {
            "file_name": "deep/a.png",
            "width": "6",
            "height": "4",
            "area_px": "3",
            "share": "0.125",
            "components": "1",
            "mean_probability": "0.75",
            "mask": "masks/deep/a.png",
        },
        {
            "file_name": "b.jpg",
            "width": "6",
            "height": "4",
            "area_px": "0",
            "share": "0",
            "components": "0",
            "mean_probability": "",
            "mask": "masks/b.jpg.png",
        },
    ]


def test_a_mask_of_several_classes_holds_labels_and_the_table_columns_for_each(tmp_path: Path) -> None:
    write_predictions([predicted("a.png", labels(2, 1, 2))], ["a.png"], tmp_path, 4)
    np.testing.assert_array_equal(read(tmp_path / "masks" / "a.png"), labels(2, 1, 2))
    (row,) = Predictions(tmp_path).rows()
    assert (row["area_px"], row["components"]) == ("9", "3")
    assert [row[f"area_px_{label}"] for label in (1, 2, 3)] == ["3", "6", "0"]
    assert [row[f"components_{label}"] for label in (1, 2, 3)] == ["1", "2", "0"]
    assert [row[f"mean_probability_{label}"] for label in (1, 2, 3)] == ["0.75", "0.75", ""]
    assert "area_px_0" not in row


def test_images_that_were_left_out_are_a_table_of_their_own(tmp_path: Path) -> None:
    assert Predictions(tmp_path).left_out() == []
    write_left_out([("a, b.png", "it is\nno image")], tmp_path)
    assert Predictions(tmp_path).left_out() == [("a, b.png", "it is\nno image")]


def test_names_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    name = "a\udcff.png"
    write_predictions([predicted(name, labels(1))], [name], tmp_path, 1)
    assert (tmp_path / "masks" / name).is_file()
    with (tmp_path / "predictions.csv").open(encoding="utf-8") as file:
        assert next(csv.DictReader(file))["file_name"] == r"a\udcff.png"


def test_rows_come_in_the_order_of_the_images(tmp_path: Path) -> None:
    names = [f"{number:03}.png" for number in range(60)]
    write_predictions((predicted(name, labels(1)) for name in names), names, tmp_path, 1, num_workers=4)
    assert [row["file_name"] for row in Predictions(tmp_path).rows()] == names


@pytest.mark.parametrize(
    ("names", "targets"),
    [
        (["a.png", "b.PNG"], ["a.png", "b.PNG"]),
        (["a.png", "a.jpg", "a.tif"], ["a.png", "a.jpg.png", "a.tif.png"]),
        (["a.jpg", "a.jpg.png"], ["a.jpg.png", "a.jpg.png.png"]),
        (["A.png", "a.png"], ["A.png", "a.png.png"]),  # some file systems take them for one
        (["a.jpg", "a.jpg.png/b.png"], ["a.jpg.png.png", "a.jpg.png/b.png"]),  # a folder
        (["one/a.jpg", "other/a.jpg"], ["one/a.jpg.png", "other/a.jpg.png"]),
    ],
)
def test_no_two_images_share_a_file(names: list[str], targets: list[str]) -> None:
    assert target_names(names) == dict(zip(names, targets, strict=True))
    assert target_names(reversed(names)) == target_names(names)
