"""Where patients were taken from, and what is in doubt about them."""

from pathlib import Path

import pytest

from dataset.group_warnings import Naming, folders_taken, pattern_doubts
from dataset.ingest import ingest
from tests.dataset.coco_folder import options
from tests.dataset.layouts.written import SPLIT, folders, mask, patients, picture, volumes, write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "stored"


def named(*rows: str) -> list[Naming]:
    """Of `p1/a.png=x` the file, its folder where it has one, and the patient that a pattern found."""
    found = []
    for row in rows:
        file, _, patient = row.partition("=")
        found.append(Naming(file, file.rpartition("/")[0] or None, patient))
    return found


def test_a_pattern_that_finds_the_folders_again_is_not_in_doubt():
    files = named("p1/a.png=1", "p1/b.png=1", "p2/a.png=2", "p3/a.png=3")
    assert pattern_doubts(files, r"p(\d)", "image") == []


def test_a_pattern_that_divides_folders_of_patients_is_told_with_an_example():
    files = named("p1/a.png=a", "p1/b.png=b", "p2/c.png=c", "p2/d.png=c", "p3/e.png=e")
    assert pattern_doubts(files, r"\b(.)\.", "image") == [
        r"--group_by '\b(.)\.' divides 1 of 3 folders that look like patients ('p1/a.png' is of 'a', 'p1/b.png' of "
        "'b'): that is right only if these folders hold several patients each"
    ]


def test_a_pattern_that_joins_folders_of_patients_is_told_with_an_example():
    files = named("p1/a.png=p", "p2/a.png=p", "p3/a.png=p", "p4/a.png=p", "q1/a.png=q")
    assert pattern_doubts(files, "[pq]", "image") == [
        "--group_by '[pq]' takes 4 of 5 folders that look like patients together as 1 patient (p1, p2, p3, ... as "
        "'p'): that is right only if such folders are of one patient"
    ]


@pytest.mark.parametrize("files", [("1.png=1", "2.png=2"), ("p1/1.png=1", "p1/2.png=2", "p2/3.png=3")])
def test_a_pattern_that_makes_each_image_a_patient_is_told_once(files):
    (told,) = pattern_doubts(named(*files), r"\d(?=\.)", "image")
    assert f"takes each of the {len(files)} images as a patient of its own" in told
    assert f"({files[0].partition('=')[0]!r} as '1')" in told


def test_one_volume_a_patient_is_what_anybody_expects():
    assert pattern_doubts(named("a_1.nii=1", "a_2.nii=2"), r"\d", "volume") == []
    assert pattern_doubts(named("p1/a.png=1", "p2/a.png=2", "p3/a.png=3"), r"\d", "image") == []


def test_folders_that_were_taken_as_patients_are_named_and_counted():
    assert folders_taken([f"batch_{number}" for number in range(4)], "image") == [
        "patients were taken from the folders of the images (batch_0, batch_1, batch_2, ...; 4 of them); if these are "
        "not patients, give --group_by (--group_by '.+' where no two images are of one patient)"
    ]
    assert folders_taken([], "image") == []


def test_taking_folders_as_patients_is_noted_unless_a_pattern_says_who_is(tmp_path, out, capsys):
    root = patients(tmp_path / "data")
    (note,) = [note for note in ingest(root, out, options(split=SPLIT)).manifest.notes if "taken from" in note]
    assert "(TCGA_00, TCGA_01, TCGA_02, ...; 6 of them)" in note
    assert f"note: {note}\n" in capsys.readouterr().err
    named_so = ingest(root, tmp_path / "named", options(split=SPLIT, group_by="^([^/]+)/")).manifest
    assert not any("taken from" in note for note in named_so.notes)
    assert named_so.warnings == []


def test_without_folders_of_patients_nothing_is_said_of_them(tmp_path, out):
    assert not any("taken from" in note for note in ingest(folders(tmp_path), out, options(split=SPLIT)).manifest.notes)


def test_a_doubtful_pattern_is_warned_of_in_manifest_and_terminal(tmp_path, out, capsys):
    manifest = ingest(patients(tmp_path, slices=4), out, options(split=SPLIT, group_by=r"_(\d)\.")).manifest
    divides, joins = manifest.warnings[:2]
    assert "divides 6 of 6 folders" in divides
    assert "takes 6 of 6 folders that look like patients together as 4 patients" in joins
    said = capsys.readouterr().err
    assert all(said.count(f"warning: {warning}\n") == 1 for warning in manifest.warnings)


def test_no_groups_are_wanted_by_a_pattern_that_matches_all(tmp_path, out):
    manifest = ingest(patients(tmp_path), out, options(split=SPLIT, group_by=".+")).manifest
    groups = [sample.group for split in manifest.splits.values() for sample in split.samples]
    assert len({*groups}) == 18
    (told,) = manifest.warnings
    assert "takes each of the 18 images as a patient of its own" in told


def test_patients_with_several_volumes_each_are_not_in_doubt(tmp_path, out):
    volumes(tmp_path / "data", 6)
    stored = ingest(tmp_path / "data", out, options(split=SPLIT, group_by=r"case_(\d)"))
    assert stored.manifest.warnings == []


def test_folders_of_given_splits_are_one_patient_by_their_names(tmp_path, out):
    for split in ("train", "valid", "test"):
        for patient in range(3):
            stem = tmp_path / "data" / split / f"p{patient}" / "a"
            write(stem.with_suffix(".png"), picture(len(split) + 7 * patient))
            write(stem.with_name("a_mask.png"), mask())
    manifest = ingest(tmp_path / "data", out, options(group_by=r"p\d")).manifest
    assert not any("look like patients" in warning for warning in manifest.warnings)
    assert [shared.group for shared in manifest.shared_groups] == ["p0", "p1", "p2"]
