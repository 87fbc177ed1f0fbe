"""The ingest step through its entry point."""

from pathlib import Path

import pytest

from configs.sections import DataConfig
from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.phantoms.write_phantoms import write_phantoms
from steps import ingest_coco as module
from steps.runtime import Runtime
from tests.dataset.layouts.written import mask, picture, write

DATA = DataConfig(image_size=(32, 32), channels=1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set, and a place to store it, as in a run."""
    root = write_phantoms(tmp_path / "data", 1, {"train": 4, "valid": 2, "test": 2}, 64)
    now = Runtime(data_root=str(root), out_dir=str(tmp_path), num_workers=1, resume=True, command="", process="")
    monkeypatch.setattr("steps.runtime.current", lambda: now)
    monkeypatch.setattr(module, "folder_to_fill", lambda _: tmp_path / "stored")
    return root


def test_data_are_stored_as_configured(folder: Path) -> None:
    dataset = module.ingest_coco.entrypoint(fingerprint(folder), DATA)
    assert dataset["train"].images.shape == (4, 32, 32, 1)


def test_data_that_change_while_they_are_read_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = module.ingest

    def reading_while_somebody_writes(*arguments: object) -> object:
        dataset = read(*arguments)
        (folder / "train" / "added.png").write_bytes(b"another image")
        return dataset

    monkeypatch.setattr(module, "ingest", reading_while_somebody_writes)
    with pytest.raises(DatasetError, match="was changed while it was read; run again"):
        module.ingest_coco.entrypoint(fingerprint(folder), DATA)


def test_a_layout_that_is_forced_is_fingerprinted_and_read_alike(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is COCO and pairs at once; a change of a mask is one of the pairs alone."""
    for split in ("train", "valid", "test"):
        write(folder / "images" / split / "a.png", picture(1))
        write(folder / "masks" / split / "a.png", mask())
    pairs = DATA.model_copy(update={"format": "masks"})
    dataset = module.ingest_coco.entrypoint(fingerprint(folder, layout="masks"), pairs)
    assert [len(dataset[split]) for split in ("train", "valid", "test")] == [1, 1, 1]
    coco = fingerprint(folder)
    write(folder / "masks" / "train" / "a.png", mask(wide=3))
    assert fingerprint(folder) == coco
    monkeypatch.setattr(module, "folder_to_fill", lambda _: folder.parent / "again")
    with pytest.raises(DatasetError, match="was changed while it was read"):
        module.ingest_coco.entrypoint(coco, pairs)
