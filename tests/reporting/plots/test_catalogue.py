"""Pictures are drawn again where they must be, and only there."""

import dataclasses

import numpy as np
import pytest

from analysis.comparison import Comparison
from analysis.findings import Examples, SingularValues
from reporting.plots import catalogue as pictures
from reporting.plots import write as plots
from reporting.plots.catalogue import Shown, drawn_pictures
from tests.comparisons import renamed


@pytest.fixture
def shown(baseline, result):
    mask = np.ones((1, 8, 8), np.uint8)
    return Shown(
        Comparison([baseline, result("svd", 16, 0.7, 200_000)]),
        {"epochs": [{"epoch": 1, "train_loss": 0.5, "valid_loss": 0.6, "valid_dice": 0.7}], "best_epoch": 1},
        {"plain": {"inc": SingularValues("channel", [2.0, 1.0])}},
        Examples([0], ["best"], ["a.png"], mask[..., None], mask, {"baseline": mask}),
    )


@pytest.fixture
def drawn(monkeypatch):
    """How often pictures were drawn; they are as cheap as can be."""
    calls = []

    def draw(shown, folder):
        calls.append(shown)
        folder.mkdir(exist_ok=True)
        files = [folder / f"{name}.png" for name in ("dice_vs_params", "masks")]
        for file in files:
            file.write_bytes(file.name.encode())
        return files

    monkeypatch.setattr(plots, "write_plots", draw)
    return calls


def other(shown, **changes):
    return dataclasses.replace(shown, **changes)


def test_what_has_not_changed_is_not_drawn_again(shown, drawn, tmp_path):
    first = drawn_pictures(shown, tmp_path)
    assert drawn_pictures(dataclasses.replace(shown), tmp_path) == first
    assert len(drawn) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda shown: other(shown, history={"epochs": []}),
        lambda shown: other(shown, spectra={"plain": {"inc": SingularValues("channel", [2.0, 0.5])}}),
        lambda shown: other(shown, spectra={"weighted": shown.spectra["plain"]}),
        lambda shown: other(shown, examples=None),
        lambda shown: other(shown, examples=other(shown.examples, truth=0 * shown.examples.truth)),
        lambda shown: other(shown, examples=other(shown.examples, predictions={"svd": shown.examples.truth})),
        lambda shown: other(shown, comparison=Comparison(shown.comparison.results[:1])),
        lambda shown: other(
            shown,
            comparison=Comparison([shown.comparison.results[0], renamed(shown.comparison.results[1], "svd_rank_8")]),
        ),
    ],
)
def test_what_has_changed_is_drawn_again(shown, drawn, tmp_path, change):
    drawn_pictures(shown, tmp_path)
    drawn_pictures(change(shown), tmp_path)
    assert len(drawn) == 2
    drawn_pictures(shown, tmp_path)
    assert len(drawn) == 3, "what was right once is not right for ever"


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "masks.png").unlink(),
        lambda folder: (folder / "masks.png").write_bytes(b"of somebody else"),
        lambda folder: (folder / "training.png").write_bytes(b"of an earlier run"),
        lambda folder: (folder / ".drawn.json").unlink(),
        lambda folder: (folder / ".drawn.json").write_bytes(b'{"shown'),
        lambda folder: (folder / ".drawn.json").write_bytes(b"\xff"),
        lambda folder: (folder / ".drawn.json").write_bytes(b"[]"),
    ],
)
def test_files_that_are_not_those_that_were_drawn_are_drawn_again(shown, drawn, tmp_path, damage):
    drawn_pictures(shown, tmp_path)
    damage(tmp_path)
    drawn_pictures(shown, tmp_path)
    assert len(drawn) == 2


def test_other_code_or_another_matplotlib_draws_again(shown, drawn, tmp_path, monkeypatch):
    drawn_pictures(shown, tmp_path / "plots")
    monkeypatch.setattr(pictures, "version", lambda name: "0.0.0")
    drawn_pictures(shown, tmp_path / "plots")
    monkeypatch.undo()
    (tmp_path / "plot_new.py").write_text("edited = True")
    before = shown.digest()
    monkeypatch.setattr(pictures, "_SOURCES", tmp_path)
    assert shown.digest() != before


def test_a_file_of_somebody_else_is_left_alone(shown, drawn, tmp_path):
    drawn_pictures(shown, tmp_path)
    (tmp_path / "mine.png").write_bytes(b"mine")
    drawn_pictures(shown, tmp_path)
    assert len(drawn) == 1
    assert (tmp_path / "mine.png").read_bytes() == b"mine"
