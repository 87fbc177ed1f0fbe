"""The step that predicts, through its entry point."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from configs.sections import ReadingConfig
from dataset.errors import DatasetError
from dataset.pictures.find import find_pictures
from dataset.pictures.read import digest_pictures
from models.network_files import network_files_digest
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant, VariantError
from models.variant_spec import BASELINE
from reporting.prediction_folder import Predictions
from steps import predict_images as module
from steps import write_predictions as writing
from steps.runtime import Runtime
from tests.dataset.layouts.written import picture, write

READING = ReadingConfig(
    image_size=(32, 32), channels=1, interpolation="area", exif="apply", skip_bad_samples=False, batch_size=2
)
SKIPPING = READING.model_copy(update={"skip_bad_samples": True})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five images of different sizes and a network, as in a run."""
    torch.manual_seed(0)
    Variant(BASELINE, UNet(base_filters=4), Preprocessing(0.5, 0.2), 1).save(tmp_path / "network")
    for number in range(5):
        write(tmp_path / "scans" / f"{number}.png", picture(number, side=24 + 8 * number))
    now = Runtime(
        data_root=str(tmp_path / "scans"),
        out_dir=str(tmp_path / "out"),
        num_workers=2,
        resume=False,
        command="",
        process="",
        network=str(tmp_path / "network"),
    )
    monkeypatch.setattr("steps.runtime.current", lambda: now)
    monkeypatch.setattr(module, "folder_to_fill", lambda name: tmp_path / "artifact" / name)
    return tmp_path


def predict(folder: Path, reading: ReadingConfig = READING) -> Predictions:
    images = digest_pictures(find_pictures(folder / "scans"))
    return module.predict_images.entrypoint(images, network_files_digest(folder / "network"), reading, "cpu")


def test_every_image_gets_a_mask_an_overlay_and_a_row(folder: Path) -> None:
    predictions = predict(folder)
    assert [row["file_name"] for row in predictions.rows()] == [f"{number}.png" for number in range(5)]
    for number in range(5):
        for kind in ("masks", "overlays"):
            shown = cv2.imread(str(predictions.folder / kind / f"{number}.png"), cv2.IMREAD_UNCHANGED)
            assert shown.shape[:2] == (24 + 8 * number,) * 2
        assert set(np.unique(cv2.imread(str(predictions.folder / "masks" / f"{number}.png")))) <= {0, 255}
    assert predictions.left_out() == []
    (folder / "out").mkdir()
    writing.write_predictions.entrypoint(predictions)
    assert list(Predictions(folder / "out").rows()) == list(predictions.rows())


def test_all_images_that_cannot_be_used_are_told_at_once_and_nothing_is_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = []
    original = module.predict_masks

    def counting(variant: Variant, pictures, **how):
        for each in original(variant, pictures, **how):
            run.append(each.name)
            yield each

    monkeypatch.setattr(module, "predict_masks", counting)
    (folder / "scans" / "1.png").write_bytes(b"no image")
    (folder / "scans" / "4.png").write_bytes(b"none either")
    with pytest.raises(DatasetError, match="2 problems") as error:
        predict(folder)
    assert all(f"{name}.png: the image file is empty, damaged" in str(error.value) for name in (1, 4))
    assert "--skip_bad_samples" in str(error.value)
    assert run == ["0.png"], "after the first that cannot be used, the network is not run any more"
    assert not any((folder / "artifact").iterdir())


def test_images_that_cannot_be_used_are_left_out_and_listed_if_that_is_asked_for(folder: Path) -> None:
    (folder / "scans" / "1.png").write_bytes(b"no image")
    predictions = predict(folder, SKIPPING)
    assert [row["file_name"] for row in predictions.rows()] == ["0.png", "2.png", "3.png", "4.png"]
    ((name, reason),) = predictions.left_out()
    assert (name, "unknown kind" in reason) == ("1.png", True)


@pytest.mark.parametrize("reading", [READING, SKIPPING], ids=["strict", "skipping"])
def test_where_no_image_can_be_used_the_kinds_their_number_and_the_first_reason_are_told(
    folder: Path, reading: ReadingConfig
) -> None:
    for file in (folder / "scans").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(DatasetError) as error:
        predict(folder, reading)
    assert str(error.value).startswith(f"none of the 5 images in {folder / 'scans'} can be used, so there is nothing")
    assert "images are read from .png, .tif, .tiff, .jpg, .jpeg, .bmp, .gif, .webp. " in str(error.value)
    assert "The first, 0.png: the image file is empty, damaged or of an unknown kind" in str(error.value)
    assert "skip_bad_samples" not in str(error.value), "it would not help"
    assert not any((folder / "artifact").iterdir())


def test_what_changes_while_it_is_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = module.read_pictures

    def while_somebody_writes(*arguments, **more):
        yield from read(*arguments, **more)
        write(folder / "scans" / "0.png", picture(7))

    monkeypatch.setattr(module, "read_pictures", while_somebody_writes)
    with pytest.raises(DatasetError, match="scans was changed while it was read; run again"):
        predict(folder)
    monkeypatch.undo()


def test_a_network_that_changes_while_it_is_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = digest_pictures(find_pictures(folder / "scans"))
    with pytest.raises(VariantError, match="network was changed while it was read; run again"):
        module.predict_images.entrypoint(images, "another digest", READING, "cpu")


def test_a_run_without_a_network_says_what_is_missing(folder: Path) -> None:
    now = dataclasses.replace(module.runtime.current(), network=None)
    with pytest.raises(ValueError, match="give --predict and --model"):
        _ = now.network_folder
