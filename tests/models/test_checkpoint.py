"""State dicts from elsewhere: loaded where they are a U-Net, refused with a reason where they are not."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoint import CheckpointError, checkpoint_digest, load_checkpoint
from models.unet import UNet


def write(state: dict, file: Path) -> Path:
    if file.suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)
    return file


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth"])
@pytest.mark.parametrize(
    "arguments",
    [{"in_channels": 1, "classes": 1}, {"in_channels": 3, "classes": 4}, {"in_channels": 1, "bilinear": False}],
)
def test_a_state_dict_gives_the_same_network(tmp_path: Path, name: str, arguments: dict) -> None:
    network = UNet(base_filters=2, **arguments).eval()
    loaded = load_checkpoint(write(network.state_dict(), tmp_path / name))
    image = torch.rand(1, arguments["in_channels"], 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(image), network(image))


def test_code_in_a_pickle_does_not_run(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "ran",)

    file = tmp_path / "net.pth"
    file.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(CheckpointError, match=r"net\.pth"):
        load_checkpoint(file)
    assert not (tmp_path / "ran").exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(UNet(base_filters=2), tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match="state dict"):
        load_checkpoint(tmp_path / "net.pth")


def test_another_architecture_is_named_by_its_keys(tmp_path: Path) -> None:
    file = write({"encoder.weight": torch.ones(1)}, tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match=r"encoder\.weight|inc\.double_conv"):
        load_checkpoint(file)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = UNet(base_filters=2).state_dict()
    state["outc.conv.bias"][0] = float("nan")
    with pytest.raises(CheckpointError, match=r"outc\.conv\.bias"):
        load_checkpoint(write(state, tmp_path / "net.safetensors"))


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth"])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str) -> None:
    file = write(UNet(base_filters=2).state_dict(), tmp_path / name)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for function in (load_checkpoint, checkpoint_digest):
        with pytest.raises(CheckpointError, match=r"none\.pth"):
            function(tmp_path / "none.pth")


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file, content in zip(files, (b"1", b"1", b"2"), strict=True):
        file.write_bytes(content)
    digests = [checkpoint_digest(file) for file in files]
    assert digests[0] == digests[1] != digests[2]
