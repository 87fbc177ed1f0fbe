"""The folder of results: which files it holds, and what goes when a later run has other ones."""

import json

import pytest
from torch import nn

from analysis.comparison import Comparison
from reporting.bundle import ReportBundle, ReportContent, remove_stale_networks, write_files
from reporting.html.about import About
from torch_lowrank.io import save_network

PICTURES = {"training": b"two", "dice_vs_params": b"one"}


@pytest.fixture
def content(results):
    about = About({"epochs": [], "best_epoch": None}, {"categories": {}}, {"seed": 1}, {"command": "python x.py"})
    return ReportContent(Comparison(results), about, PICTURES)


def test_report_and_pictures_come_first_the_most_telling_picture_before_others(content):
    files = content.files()
    assert list(files)[:3] == ["report.html", "plots/dice_vs_params.png", "plots/training.png"]
    assert files["plots/training.png"] == b"two"
    assert ReportBundle([], files, {}, "").pages() == list(files)[:3]


def test_what_programs_read_says_where_it_comes_from(content):
    summary = json.loads(content.files()["experiment_summary.json"])
    assert summary["config"] == {"seed": 1}
    assert summary["provenance"] == {"command": "python x.py"}
    assert json.loads(content.files()["train_history.json"]) == {"epochs": [], "best_epoch": None}


def test_the_description_has_the_answer_every_variant_and_the_command(content):
    text = content.description()
    assert "budget_0.25 keeps 99.5 % of the Dice" in text
    assert all(f"| {result.name} |" in text for result in content.comparison.results)
    assert text.endswith("    python x.py")


def test_pictures_that_a_run_does_not_have_go_and_files_of_others_stay(tmp_path):
    for name in ("svd_rank", "masks", "mine"):
        (tmp_path / "plots").mkdir(exist_ok=True)
        (tmp_path / "plots" / f"{name}.png").write_bytes(b"of an earlier run")
    write_files({"report.html": b"<p>", "plots/masks.png": b"new"}, tmp_path)
    found = {file.relative_to(tmp_path).as_posix(): file.read_bytes() for file in tmp_path.rglob("*.*")}
    assert found == {"report.html": b"<p>", "plots/masks.png": b"new", "plots/mine.png": b"of an earlier run"}


def test_a_picture_that_was_changed_or_lost_is_written_again(content, tmp_path):
    files = content.files()
    write_files(files, tmp_path)
    (tmp_path / "plots" / "training.png").write_bytes(b"of somebody else")
    (tmp_path / "plots" / "dice_vs_params.png").unlink()
    write_files(files, tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files} == files


def test_networks_of_variants_that_a_run_does_not_have_go_and_folders_of_others_stay(tmp_path):
    about = {"svd_rank_8": {"spec": {"method": "svd", "rank": 8}}, "svd_rank_16": {"method": "svd", "setting": {}}}
    old = {"budget_0.25": {"method": "budget", "setting": {"budget": 0.25}}}  # as an earlier version wrote it
    copied = {"my_copy": about["svd_rank_8"], "svd_rank_99": {}}
    for name, description in {**about, **old, **copied}.items():
        save_network(nn.Linear(2, 2), tmp_path / name, description)
    (tmp_path / "svd_rank_4").mkdir()
    (tmp_path / "svd_rank_4" / "network.json").write_text("{}")
    remove_stale_networks(tmp_path, ["svd_rank_16"])
    kept = {"svd_rank_16", "my_copy", "svd_rank_99", "svd_rank_4"}
    assert {folder.name for folder in tmp_path.iterdir()} == kept, "by what they say they are, not by their names"
