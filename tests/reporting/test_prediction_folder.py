"""Predictions take the place of earlier ones, and of nothing else."""

from pathlib import Path

import numpy as np
import pytest

from models.predicted import Predicted
from reporting import prediction_folder
from reporting.prediction_folder import PredictionFolderError, Predictions, check_replaceable, replace_results
from reporting.predictions import write_left_out, write_predictions


def made(folder: Path, *names: str, left_out: tuple[str, ...] = ()) -> Predictions:
    folder.mkdir()
    one = np.ones((4, 4), np.uint8)
    done = [Predicted(name, one[..., None], one, one.astype(np.float32)) for name in names]
    write_predictions(done, names, folder, 1)
    if left_out:
        write_left_out([(name, "no image") for name in left_out], folder)
    return Predictions(folder)


def files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*.*") if file.name != ".predicted.json"}


def test_all_of_an_earlier_prediction_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    replace_results(made(tmp_path / "first", "a.png", "deep/b.png", left_out=("c.png",)), out)
    assert files(out) == {
        "notes.txt",
        "predictions.csv",
        "left_out.csv",
        *(f"{kind}/{name}" for kind in ("masks", "overlays") for name in ("a.png", "deep/b.png")),
    }
    assert [name for name, _ in Predictions(out).left_out()] == ["c.png"]
    replace_results(made(tmp_path / "second", "b.png"), out)
    assert files(out) == {"notes.txt", "predictions.csv", "masks/b.png", "overlays/b.png"}
    assert [row["file_name"] for row in Predictions(out).rows()] == ["b.png"]


@pytest.mark.parametrize("place", ["masks", "overlays"])
def test_files_that_no_prediction_wrote_are_never_removed(tmp_path: Path, place: str) -> None:
    out = tmp_path / "out"
    replace_results(made(tmp_path / "first", "a.png"), out)
    (out / place / "truth.png").write_bytes(b"by hand")
    before = files(out)
    with pytest.raises(PredictionFolderError, match=rf"holds what no prediction has written \(.*{place}/truth.png\)"):
        replace_results(made(tmp_path / "second", "b.png"), out)
    assert files(out) == before


def test_masks_of_a_data_set_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    check_replaceable(tmp_path)  # empty
    (tmp_path / "masks" / "a.png").touch()
    with pytest.raises(PredictionFolderError, match="choose another --out_dir"):
        check_replaceable(tmp_path)


def test_what_is_no_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "masks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PredictionFolderError):
        check_replaceable(tmp_path)


def test_a_list_of_what_was_written_that_is_damaged_counts_as_none(tmp_path: Path) -> None:
    out = tmp_path / "out"
    replace_results(made(tmp_path / "first", "a.png"), out)
    (out / "masks" / ".predicted.json").write_text("[")
    with pytest.raises(PredictionFolderError):
        check_replaceable(out)


def test_where_the_table_is_masks_and_overlays_are_those_that_it_tells_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the second folder."""
    out = tmp_path / "out"
    replace_results(made(tmp_path / "first", "a.png"), out)
    copy = prediction_folder.shutil.copytree

    def full(source: Path, *arguments: object, **more: object) -> object:
        if source.name == "overlays":
            raise OSError(28, "No space left on device")
        return copy(source, *arguments, **more)

    monkeypatch.setattr(prediction_folder.shutil, "copytree", full)
    with pytest.raises(OSError, match="No space left"):
        replace_results(made(tmp_path / "second", "b.png"), out)
    assert not (out / "predictions.csv").exists()
    monkeypatch.undo()
    replace_results(Predictions(tmp_path / "second"), out)
    assert files(out) == {"predictions.csv", "masks/b.png", "overlays/b.png"}
