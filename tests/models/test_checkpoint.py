"""State dicts from elsewhere: loaded where they are a U-Net, refused with a reason where they are not."""

import pickle
from pathlib import Path

import lightning
import pytest
import torch
from safetensors.torch import save_file

from models.checkpoint import checkpoint_digest, load_checkpoint
from models.checkpoint_file import CheckpointError
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


PREFIXES = ["", "module.", "model.", "net.", "_orig_mod.", "_orig_mod.module.", "module.model.", "model._orig_mod.net."]


def prefixed(network: UNet, prefix: str) -> dict:
    return {f"{prefix}{name}": value for name, value in network.state_dict().items()}


def same(loaded: UNet, network: UNet) -> bool:
    pairs = zip(loaded.state_dict().items(), network.state_dict().items(), strict=True)
    return all(name == other and torch.equal(value, wanted) for (name, value), (other, wanted) in pairs)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "keys", ["", "state_dict", "model_state_dict", "model", "net", "network", "checkpoint/weights"]
)
def test_a_state_dict_is_found_within_others_and_behind_any_prefix(tmp_path: Path, keys: str, prefix: str) -> None:
    network = UNet(1, base_filters=2)
    content = prefixed(network, prefix)
    for key in filter(None, reversed(keys.split("/"))):
        content = {"epoch": 3, "optimizer": {"state": {0: {"step": torch.ones(1)}}}, key: content}
    assert same(load_checkpoint(write(content, tmp_path / "net.pth")), network)


def test_prefixes_are_taken_off_in_safetensors_too(tmp_path: Path) -> None:
    network = UNet(1, base_filters=2)
    assert same(load_checkpoint(write(prefixed(network, "module.net."), tmp_path / "net.safetensors")), network)


def test_parts_that_were_wrapped_by_themselves_are_found(tmp_path: Path) -> None:
    network = UNet(1, base_filters=2)
    state = {name.replace("down1.", "down1._orig_mod."): value for name, value in network.state_dict().items()}
    assert same(load_checkpoint(write(state, tmp_path / "net.pth")), network)


def test_what_a_training_keeps_beside_the_network_is_left_out(tmp_path: Path) -> None:
    network = UNet(1, base_filters=2)
    state = {**prefixed(network, "model."), "criterion.weight": torch.ones(2), "metric.count": torch.zeros(())}
    assert same(load_checkpoint(write({"state_dict": state}, tmp_path / "net.ckpt")), network)


def test_a_checkpoint_of_lightning_is_loaded(tmp_path: Path) -> None:
    class Module(lightning.LightningModule):
        def __init__(self, base_filters: int, name: str) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = UNet(1, base_filters=base_filters)

        def training_step(self, batch: list, _: int) -> torch.Tensor:
            return self.net(batch[0]).mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), 1e-3)

    module = Module(2, name="tumor")
    images = torch.utils.data.TensorDataset(torch.rand(2, 1, 32, 32))
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, torch.utils.data.DataLoader(images, 2))
    trainer.save_checkpoint(tmp_path / "net.ckpt")
    assert same(load_checkpoint(tmp_path / "net.ckpt"), module.net)


def test_an_average_of_weights_is_loaded_without_its_counter(tmp_path: Path) -> None:
    network = UNet(1, base_filters=2)
    averaged = torch.optim.swa_utils.AveragedModel(network)
    assert same(load_checkpoint(write(averaged.state_dict(), tmp_path / "net.pth")), network)


def test_two_networks_in_a_file_are_named(tmp_path: Path) -> None:
    one, other = UNet(1, base_filters=2), UNet(1, base_filters=2)
    for content in (
        {"model": one.state_dict(), "ema": other.state_dict()},
        {**prefixed(one, "model."), **prefixed(other, "ema.")},
    ):
        with pytest.raises(CheckpointError, match=r"several networks \(ema, model\)"):
            load_checkpoint(write(content, tmp_path / "net.pth"))


def test_what_is_no_unet_is_named_by_what_the_file_holds(tmp_path: Path) -> None:
    state = {"encoder.weight": torch.ones(3, 2), "encoder.bias": torch.ones(3), "head": torch.ones(1)}
    with pytest.raises(
        CheckpointError, match=r"holds epoch, weights; in weights: encoder\.weight \(3, 2\), encoder\.bias"
    ):
        load_checkpoint(write({"epoch": 1, "weights": state}, tmp_path / "net.pth"))
    with pytest.raises(CheckpointError, match=r"holds epoch, loss, and no tensor"):
        load_checkpoint(write({"epoch": 1, "loss": 0.5}, tmp_path / "net.pth"))
    with pytest.raises(CheckpointError, match=r"holds a list, no state dict"):
        load_checkpoint(write([1, 2], tmp_path / "net.pth"))


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
    with pytest.raises(CheckpointError, match=r"models\.unet\.UNet.*state_dict"):
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


class Wrapped(torch.nn.Module):
    """A network whose own names hold words that wrappers use, too."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.module = torch.nn.Sequential(torch.nn.Conv2d(1, width, 3), torch.nn.BatchNorm2d(width))
        self.head = torch.nn.Conv2d(width, 1, 1)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_a_network_of_any_architecture_is_found_behind_any_prefix(tmp_path: Path, key: str | None, prefix: str) -> None:
    network = Wrapped()
    state = prefixed(network, prefix)
    content = {"epoch": 1, key: {**state, **({"loss.weight": torch.ones(2)} if prefix else {})}} if key else state
    loaded = load_checkpoint(write(content, tmp_path / "net.pth"), Wrapped())
    assert same(loaded, network)
    assert not loaded.training


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (Wrapped(4).state_dict(), r"of another shape: module\.0\.weight \(4, 1, 3, 3\) instead of \(3, 1, 3, 3\)"),
        (
            {name: value for name, value in Wrapped().state_dict().items() if "head" not in name},
            r"missing: head\.weight \(1, 3, 1, 1\), head\.bias \(1,\)",
        ),
        ({**Wrapped().state_dict(), "tail.weight": torch.ones(2)}, r"unexpected: tail\.weight \(2,\)"),
        (UNet(base_filters=2).state_dict(), r"missing: module\.0\.weight.*unexpected: inc\.double_conv"),
        ({"epoch": 3}, r"missing: .*the file holds epoch, and no tensor"),
    ],
)
def test_what_does_not_fit_a_network_is_named_with_its_shapes(tmp_path: Path, state: dict, said: str) -> None:
    with pytest.raises(CheckpointError, match=rf"does not fit the network \(Wrapped\): .*{said}"):
        load_checkpoint(write(state, tmp_path / "net.pth"), Wrapped())


def test_two_networks_of_any_architecture_are_named(tmp_path: Path) -> None:
    content = {"model": Wrapped().state_dict(), "ema": Wrapped().state_dict()}
    with pytest.raises(CheckpointError, match=r"several networks \(ema.*, model"):
        load_checkpoint(write(content, tmp_path / "net.pth"), Wrapped())


class Remembers(Wrapped):
    """A network whose state is more than tensors."""

    seen = None

    def get_extra_state(self) -> dict:
        return {"seen": self.seen}

    def set_extra_state(self, state: dict) -> None:
        self.seen = state["seen"]


def test_state_that_is_no_tensor_is_left_out(tmp_path: Path) -> None:
    network = Remembers()
    loaded = load_checkpoint(write({"state_dict": prefixed(network, "net.")}, tmp_path / "net.pth"), Remembers())
    assert torch.equal(loaded.head.weight, network.head.weight)
    with pytest.raises(CheckpointError, match=r"of another shape: module\.0\.weight"):
        load_checkpoint(write(Wrapped(4).state_dict(), tmp_path / "net.pth"), Remembers())
