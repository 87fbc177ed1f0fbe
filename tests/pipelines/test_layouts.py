"""Runs on data that are no COCO, from the command to the report."""

import csv
import json
from pathlib import Path

import pytest

from tests.dataset.layouts.written import patients, volumes
from tests.pipelines.workshop import Finished, Workshop

pytestmark = pytest.mark.pipeline

ONE = ("--svd_ranks", "2", "--arsvd_taus", "")
SPLIT = ("--split", "0.5,0.25,0.25")
NAMES = {"baseline", "svd_rank_2"}


def run_on(workshop: Workshop, data: Path, *arguments: str) -> Finished:
    where = ("--config", "tiny.yaml", "--data_root", str(data), "--out_dir", str(workshop.out))
    return workshop.run(*where, *ONE, *arguments, tiny=False)


def groups_of_test(workshop: Workshop) -> set[str]:
    with (workshop.out / "per_image.csv").open() as file:
        return {row["group"] for row in csv.DictReader(file) if row["split"] == "test"}


def split_groups(workshop: Workshop) -> list[set[str]]:
    manifest = json.loads((workshop.out / "dataset_manifest.json").read_text())
    return [{sample["group"] for sample in split["samples"]} for split in manifest["splits"].values()]


def test_patients_of_tiff_pairs_are_divided_trained_on_and_reused(fresh: Workshop) -> None:
    data = patients(fresh.folder / "pairs", 8)
    done = run_on(fresh, data, *SPLIT, "--group_by", "^TCGA_([0-9]+)/")
    assert "read as image and mask files in pairs, as TCGA_00/TCGA_00_0.tif with" in done.stderr
    fresh.assert_complete(NAMES)
    groups = split_groups(fresh)
    assert sorted(group for own in groups for group in own) == [f"{number:02}" for number in range(8)]
    assert groups_of_test(fresh) == groups[2]
    summary = json.loads((fresh.out / "experiment_summary.json").read_text())
    assert (summary["intervals_over"], summary["test_patients"]) == ("patients", 2)
    report = (fresh.out / "report.html").read_text()
    assert "image and mask files in pairs" in report
    assert "of 2 patients" in report
    again = run_on(fresh, data, "--reuse_training")
    assert again.ran == {"compare"}
    assert "trained on pairs (32x32, gray)" in again.stderr
    assert split_groups(fresh) == groups
    fresh.assert_complete(NAMES)


@pytest.mark.slow
def test_volumes_are_cut_divided_and_trained_on(fresh: Workshop) -> None:
    data = fresh.folder / "volumes"
    volumes(data, 6)
    done = run_on(fresh, data, *SPLIT, "data.axis=2")
    assert "read as NIfTI volumes and masks in pairs, cut along axis 2" in done.stderr
    fresh.assert_complete(NAMES)
    groups = split_groups(fresh)
    assert sorted(group for own in groups for group in own) == [f"case_{number}" for number in range(6)]
    assert groups_of_test(fresh) == groups[2]
    assert "(6 times; first: imagesTr/case_" in (fresh.out / "report.html").read_text()
    assert run_on(fresh, data, "--reuse_training").ran == {"compare"}
