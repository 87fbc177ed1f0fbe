"""What is wrong with the places of a command line is told before anything is imported that takes seconds."""

import errno
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

import run_pipeline
from configs.loading import load_config
from pipelines.checks.first_look import faults_of_places
from tests.dataset.layouts.written import patients

ROOT = Path(__file__).resolve().parent.parent.parent.parent
HEAVY = ("torch", "lightning", "monai", "zenml", "mlflow", "cv2", "matplotlib", "numpy", "scipy", "pandas")
# Ends with the status of the program, after a line of what it has imported.
PROGRAM = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
import run_pipeline
try:
    status = run_pipeline.main(sys.argv[1:])
except SystemExit as asked:  # --help
    status = asked.code or 0
print(json.dumps(sorted({{*{HEAVY!r}}} & {{*sys.modules}})))
sys.exit(status)
"""


@pytest.fixture(autouse=True)
def _without_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ZenML keeps its database on this machine."""
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(tmp_path / "zenml"))


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A folder of things that are wrong."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no data")
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "folder.pth" / "last.ckpt").write_bytes(b"\x80\x02")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "text.pth").write_text("weights")
    (tmp_path / "text.safetensors").write_text("weights")
    (tmp_path / "safe.pth").write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 and no end")
    with zipfile.ZipFile(tmp_path / "arrays.npz", "w") as archive:
        archive.writestr("weight.npy", b"")
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "broken.yaml").write_text("settings: [")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    (tmp_path / "results").mkdir()
    return tmp_path


WRONG = {  # what is typed: what is said
    "--data_root {0}/none": "{0}/none is not a folder: give the folder of the data",
    "--data_root {0}/text": "{0}/text is not a folder: give",
    "--data_root {0}/empty": "{0}/empty is empty: give the folder of the data",
    "--checkpoint {0}/none.pth": "{0}/none.pth is no file; check --checkpoint",
    "--checkpoint {0}/folder.pth": "{0}/folder.pth is a folder, no file; give a file in it to --checkpoint (found",
    "--checkpoint {0}/pipe.pth": "{0}/pipe.pth is no plain file",
    "--checkpoint {0}/empty.pth": "{0}/empty.pth is empty; save or copy",
    "--checkpoint {0}/text.pth": "text.pth is damaged, or no such file as its name says: it does not begin",
    "--checkpoint {0}/text.safetensors": "text.safetensors is damaged, or no such file as its name says: Error while",
    "--checkpoint {0}/safe.pth": "it begins as safetensors do; if it is one, name it safe.safetensors",
    "--checkpoint {0}/cut.pth": "cut.pth is damaged, or no such file as its name says: its end is missing",
    "--checkpoint {0}/arrays.npz": "it is a zip file that torch.save has not written; give a checkpoint (.safetensors",
    "--network {0}/none.py:Net": "{0}/none.py is no Python file that is there; give --network with the file's present",
    "--export pt2 --export_variant svd": "--export_variant svd: there is no such variant; there are baseline, svd",
    "--register x --register_variant svd_rank_3": "--register_variant svd_rank_3: there is no such variant",
    "--run_settings {0}/none.yaml": "run_settings {0}/none.yaml cannot be read",
    "--run_settings {0}/broken.yaml": "run_settings {0}/broken.yaml cannot be read",
    "--run_settings {0}/list.yaml": "run_settings {0}/list.yaml holds settings and steps alone",
    "--out_dir {0}/text": "results cannot be written to {0}/text ({0}/text is no folder); choose another --out_dir",
    "--out_dir {0}/text/deep/er": "results cannot be written to {0}/text/deep/er ({0}/text is no folder)",
}


def faults(command: str, places: Path) -> list[str]:
    return faults_of_places(load_config(command.format(places).split()))


@pytest.mark.parametrize("command", WRONG)
def test_what_is_wrong_with_a_place_is_said(command: str, places: Path) -> None:
    before = {*places.rglob("*")}
    (fault,) = faults(command, places)
    assert WRONG[command].format(places) in fault
    assert {*places.rglob("*")} == before


def run(*arguments: str, cwd: Path) -> tuple[int, list[str], str]:
    """The program's status, what heavy it has imported, and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.parametrize("command", [*WRONG, "--epochs 0", "--no_such_flag", "--config {0}/none.yaml", "a.b=1"])
def test_an_error_is_told_without_the_libraries_that_take_seconds(command: str, places: Path) -> None:
    status, imported, said = run(*command.format(places).split(), cwd=places)
    assert (status, imported) == (2, [])
    assert said.startswith("error: ")
    assert WRONG.get(command, "").format(places) in said


def test_a_folder_of_no_known_layout_is_told_with_what_reads_images_and_nothing_more(places: Path) -> None:
    status, imported, said = run("--data_root", str(places / "folder.pth"), cwd=places)
    assert (status, imported) == (2, ["cv2", "numpy"])
    assert "last.ckpt" in said
    assert "docs/your-data.md" in said


NAMES = {  # what is typed of data whose names tell that it is wrong: what is said
    "pairs --group_by patient_[0-9]+": "--group_by 'patient_[0-9]+' finds no patient in the file name of 'TCGA_00/",
    "unmasked": "TCGA_03/TCGA_03_1.tif: the image has no mask: add it, or remove the image",
    "volume": "1 volume cannot be divided into 3 splits, as a volume is never divided",
    "volume --group_by case": "1 patient cannot be divided into 3 splits",
    "brats": "masks have several images each, whose names end with flair, t1: choose one by data.modality=flair",
}


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """Data of which the names of the files are wrong; nothing in them can be read."""
    for name in ("pairs", "unmasked"):
        patients(tmp_path / name)
    (tmp_path / "unmasked" / "TCGA_03" / "TCGA_03_1_mask.tif").unlink()
    files = ["volume/case_1.nii.gz", "volume/case_1_seg.nii.gz"]
    for number in range(4):
        files += [f"brats/BraTS_{number}/BraTS_{number}_{end}.nii.gz" for end in ("flair", "t1", "seg")]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"no volume")
    return tmp_path


@pytest.mark.parametrize("command", NAMES)
def test_what_names_of_files_tell_needs_what_reads_images_and_nothing_more(command: str, named: Path) -> None:
    data, *rest = command.split()
    arguments = ["--data_root", str(named / data), "--split", "0.7,0.15,0.15", *rest, "--out_dir", str(named / "out")]
    status, imported, said = run(*arguments, cwd=named)
    assert (status, imported) == (2, ["cv2", "numpy"])
    assert NAMES[command] in said
    assert said.count("\n") == (2 if data == "unmasked" else 1)  # nothing else is said to be wrong
    assert not (named / "out").exists()


def test_data_whose_names_are_right_are_let_through(named: Path) -> None:
    assert faults("--data_root {0}/pairs --split 0.7,0.15,0.15 --group_by TCGA_[0-9]+", named) == []
    assert faults("--data_root {0}/unmasked --split 0.7,0.15,0.15 --skip_bad_samples", named) == []
    assert faults("--data_root {0}/brats --split 0.7,0.15,0.15 data.modality=t1", named) == []


def test_help_needs_none_of_them_either(tmp_path: Path) -> None:
    assert run("--help", cwd=tmp_path) == (0, [], "")


def test_the_first_line_of_a_run_names_seeds_where_there_are_several() -> None:
    assert "; seeds: 1, 2, 3; results: " in run_pipeline._outline(load_config(["--seeds", "1,2,3"]))
    assert "seed" not in run_pipeline._outline(load_config(["--seeds", "1"]))


def test_all_that_is_wrong_is_told_at_once(places: Path) -> None:
    several = (
        "--data_root {0}/none",
        "--checkpoint {0}/empty.pth",
        "--run_settings {0}/none.yaml",
        "--out_dir {0}/text",
    )
    found = faults(" ".join(several), places)
    assert found == [fault for command in several for fault in faults(command, places)]
    _, _, said = run(*" ".join(several).format(places).split(), cwd=places)
    assert said == "error: " + "\n".join(found) + "\n"


def test_what_is_right_is_let_through(places: Path) -> None:
    for split in ("train", "valid", "test"):
        (places / "data" / split).mkdir(parents=True)
    (places / "old.pt").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j")
    (places / "run.yaml").write_text("settings: {}")
    right = "--data_root {0}/data --checkpoint {0}/old.pt --run_settings {0}/run.yaml --out_dir {0}/results"
    assert faults(right, places) == []
    assert faults("--out_dir {0}/of/results/that/are/not/there", places) == []
    assert faults("", places) == []
    assert not (places / "of").exists()


def test_data_beside_a_training_that_is_reused_are_read_as_that_training_read_them(places: Path) -> None:
    patients(places / "pairs")
    (refused,) = faults("--data_root {0}/pairs", places)
    assert "has no splits" in refused
    assert faults("--reuse_training --data_root {0}/pairs", places) == []
    assert faults("--reuse_training=comparison-1 --data_root {0}/pairs", places) == []
    (missing,) = faults("--reuse_training --data_root {0}/none", places)
    assert f"{places}/none is not a folder" in missing


def forbid(monkeypatch: pytest.MonkeyPatch, owner: object, function: str, name: str, refuse: Callable) -> None:
    """Lets a function fail for paths of this name, as it does for users who are not root."""
    real = getattr(owner, function)
    monkeypatch.setattr(
        owner, function, lambda path, *rest, **more: (refuse if Path(path).name == name else real)(path, *rest, **more)
    )


def raise_denied(path: Path, *_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


@pytest.mark.parametrize(
    ("command", "owner", "function", "said"),
    [
        ("--data_root {0}/empty", os, "scandir", "empty cannot be read (Permission denied): check"),
        ("--checkpoint {0}/text.pth", Path, "open", "text.pth cannot be read: Permission denied; check --checkpoint"),
        ("--checkpoint {0}/text.pth", Path, "stat", "text.pth cannot be read: Permission denied; check --checkpoint"),
        ("--run_settings {0}/list.yaml", Path, "read_text", "list.yaml cannot be read: [Errno 13] Permission denied"),
    ],
)
def test_what_may_not_be_read_is_said(
    command: str, owner: object, function: str, said: str, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, owner, function, Path(command.rsplit(maxsplit=1)[-1]).name, raise_denied)
    (fault,) = faults(command, places)
    assert said in fault


@pytest.mark.parametrize("command", ["--out_dir {0}/results", "--out_dir {0}/results/new/deep"])
def test_a_place_that_may_not_be_written_to_is_said(
    command: str, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, os, "access", "results", lambda *_, **__: False)
    (fault,) = faults(command, places)
    assert "(Permission denied); choose another --out_dir" in fault


def test_a_read_only_place_is_said(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = os.statvfs(places)
    readonly = os.statvfs_result((*mounted[:8], mounted.f_flag | os.ST_RDONLY, *mounted[9:]))
    forbid(monkeypatch, os, "access", "results", lambda *_, **__: False)
    monkeypatch.setattr(os, "statvfs", lambda _: readonly)
    (fault,) = faults("--out_dir {0}/results", places)
    assert "(Read-only file system); choose another --out_dir" in fault


def test_a_folder_that_another_run_writes_to_is_said(places: Path) -> None:
    with FileLock(places / "results" / ".lock"):
        (fault,) = faults("--out_dir {0}/results", places)
        assert fault.startswith(f"another run writes to {places}/results")
    assert faults("--out_dir {0}/results", places) == []


def test_data_that_other_machines_may_see_is_not_looked_at(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults("--data_root s3://bucket/none", places) == []
    monkeypatch.setenv("ZENML_STORE_URL", "https://zenml.example.org")
    assert faults("--data_root {0}/none", places) == []
    assert len(faults("--out_dir {0}/text", places)) == 1


INTERRUPTED = """
import os, sys
sys.path.insert(0, sys.argv[1])
import run_pipeline
def waiting(config):
    os.kill(os.getpid(), int(sys.argv[2]))
    import time
    time.sleep(60)
run_pipeline.faults_of_places = waiting
sys.exit(run_pipeline.main([]))
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_meanwhile_ends_it_as_later(number: int, status: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(ROOT), str(int(number))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status
    assert done.stderr.startswith("error: interrupted")
