"""The folder of results belongs to one run at a time, and holds nothing half-written."""

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


def test_the_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    with (
        output_folder(tmp_path),
        pytest.raises(OutputFolderError, match="another run writes to"),
        output_folder(tmp_path),
    ):
        pass
    with output_folder(tmp_path):
        pass
