"""The folder of results belongs to one run at a time, and holds nothing half-written."""

import fcntl
from pathlib import Path

import pytest

from models.unet import UNet
from pipelines.execution.output_folder import OutputFolderError, output_folder
from torch_lowrank.io import save_network
from torch_lowrank.whole_files import write_whole


class KilledError(BaseException):
    """Stands for the end of the process: no clean-up runs."""


@pytest.fixture
def killed_while_moving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes end where they would move a file or folder to its place, and leave all as it is."""

    def end(*_: object) -> None:
        raise KilledError

    monkeypatch.setattr(Path, "replace", end)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    monkeypatch.setattr("torch_lowrank.whole_files.shutil.rmtree", lambda *_, **__: None)


def leave_half_written(folder: Path) -> None:
    with pytest.raises(KilledError):
        write_whole(folder / "report.html", b"half")
    with pytest.raises(KilledError):
        save_network(UNet(1, 1, 2), folder / "networks" / "baseline")


def test_what_a_killed_process_left_half_written_is_removed(
    tmp_path: Path, killed_while_moving: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.partial").write_text("not hidden, so not ours")
    leave_half_written(tmp_path)
    assert len(list(tmp_path.rglob(".*.partial"))) == 2
    monkeypatch.undo()
    with output_folder(tmp_path):
        assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {"mine.partial", ".lock"}


class RefusedError(Exception):
    """Stands for anything that ends a run."""


def refused_run(folder: Path, *, writes: str | None = None) -> None:
    with pytest.raises(RefusedError), output_folder(folder):
        if writes is not None:
            (folder / writes).write_text("result")
        raise RefusedError


def test_a_refused_run_leaves_no_folder_and_no_lock(tmp_path: Path) -> None:
    refused_run(tmp_path / "new" / "deep")
    assert [*tmp_path.iterdir()] == []


def test_a_refused_run_leaves_a_folder_of_others_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    refused_run(tmp_path / "mine")
    assert [*tmp_path.rglob("*")] == [tmp_path / "mine"]
    with output_folder(tmp_path / "mine"):  # a run that ended well
        (tmp_path / "mine" / "report.html").write_text("result")
    refused_run(tmp_path / "mine")
    assert {file.name for file in (tmp_path / "mine").iterdir()} == {"report.html", ".lock"}


def test_what_a_failed_run_has_written_stays(tmp_path: Path) -> None:
    refused_run(tmp_path / "new", writes="report.html")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["report.html"]


def test_a_run_that_finds_the_folder_locked_removes_nothing(tmp_path: Path) -> None:
    with output_folder(tmp_path / "out"):
        with pytest.raises(OutputFolderError), output_folder(tmp_path / "out"):
            pass
        assert (tmp_path / "out" / ".lock").exists()


def test_a_lock_whose_file_was_removed_meanwhile_guards_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that opened the file before a refused one removed it must not go on beside a third."""
    real, opened = fcntl.flock, []

    def lock_late(number: int, how: int) -> None:
        if not opened:
            opened.append(number)
            (tmp_path / ".lock").unlink()
        real(number, how)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with pytest.raises(OutputFolderError, match="another run writes to"), output_folder(tmp_path):
        pass


def test_the_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    with (
        output_folder(tmp_path),
        pytest.raises(OutputFolderError, match="another run writes to"),
        output_folder(tmp_path),
    ):
        pass
    with output_folder(tmp_path):
        pass
