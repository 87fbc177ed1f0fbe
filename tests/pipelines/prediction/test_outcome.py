"""What is printed when masks have been predicted."""

from pathlib import Path

import numpy as np
import pytest

from models.predicted import Predicted
from pipelines.prediction.outcome import print_outcome
from reporting.prediction_folder import Predictions
from reporting.predictions import write_left_out, write_predictions


def predictions(folder: Path, *labels: int, classes: int = 1) -> Predictions:
    """One image a label, which is the label of one of its pixels."""
    done = []
    for number, label in enumerate(labels):
        drawn = np.zeros((4, 4), np.uint8)
        drawn[0, 0] = label
        done.append(Predicted(f"{number}.png", drawn[..., None], drawn, np.ones((4, 4), np.float32)))
    write_predictions(done, [each.name for each in done], folder, classes)
    return Predictions(folder)


def test_findings_are_counted_and_whole_places_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    print_outcome(predictions(folder, 1, 0, 1), 1)
    assert capsys.readouterr().out.splitlines() == [
        "images          3",
        "with a finding  2 (67%)",
        f"masks           {folder}/masks",
        f"overlays        {folder}/overlays",
        f"table           {folder}/predictions.csv",
    ]


def test_findings_of_several_classes_are_counted_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_outcome(predictions(tmp_path, 2, 0, 1, 2, classes=4), 4)
    assert capsys.readouterr().out.splitlines()[1:5] == [
        "with a finding  3 (75%)",
        "with label 1    1 (25%)",
        "with label 2    2 (50%)",
        "with label 3    0 (0%)",
    ]


def test_images_that_were_left_out_are_named_up_to_a_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = predictions(tmp_path, 1)
    write_left_out([(f"bad\x1b{number}.png", "it is damaged") for number in range(7)], tmp_path)
    print_outcome(done, 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "note: left out, as they cannot be used (7; all in left_out.csv):"
    assert lines[1:] == [rf"  bad\x1b{number}.png: it is damaged" for number in range(5)]  # nothing a terminal obeys
