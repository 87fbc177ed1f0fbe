"""A network's folder, looked at before torch is imported."""

from pathlib import Path

import pytest
import torch

from models import network_files
from models.network_files import NetworkFilesError, check_network_files, network_files_digest
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE
from torch_lowrank import io


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    Variant(BASELINE, UNet(base_filters=4), Preprocessing(0.5, 0.2), 1).save(tmp_path / "networks" / "baseline")
    return tmp_path / "networks" / "baseline"


def test_names_are_those_of_the_engine() -> None:
    assert (network_files.DESCRIPTION, network_files.WEIGHTS) == (io.DESCRIPTION, io.WEIGHTS)


def test_a_networks_folder_is_let_through(folder: Path) -> None:
    check_network_files(folder)


def test_what_is_wrong_with_a_folder_is_said(folder: Path) -> None:
    with pytest.raises(NetworkFilesError, match="none is no folder; give that of a network"):
        check_network_files(folder / "none")
    with pytest.raises(NetworkFilesError, match=r"network.json is missing; give one of those below it, as .*/baseline"):
        check_network_files(folder.parent)
    weights = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(weights[:100])
    with pytest.raises(NetworkFilesError, match="is damaged"):
        check_network_files(folder)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(NetworkFilesError, match=r"no whole network: weights.safetensors is missing"):
        check_network_files(folder)
    (folder / "weights.safetensors").write_bytes(weights)
    (folder / "network.json").write_text("{")
    with pytest.raises(NetworkFilesError, match="is damaged"):
        check_network_files(folder)


def test_the_digest_is_that_of_both_files_and_not_of_the_place(folder: Path) -> None:
    before = network_files_digest(folder)
    moved = folder.rename(folder.parent / "moved")
    assert network_files_digest(moved) == before
    for name in ("network.json", "weights.safetensors"):
        content = (moved / name).read_bytes()
        (moved / name).write_bytes(content + b" ")
        assert network_files_digest(moved) != before
        (moved / name).write_bytes(content)
    assert network_files_digest(moved) == before
    (moved / "network.json").unlink()
    with pytest.raises(NetworkFilesError, match=r"network.json cannot be read"):
        network_files_digest(moved)
