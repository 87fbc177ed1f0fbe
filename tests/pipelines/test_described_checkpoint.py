"""A checkpoint of ours tells how it was made; settings that contradict it are refused."""

from pathlib import Path

import pytest

from configs.loading import load_config
from models.checkpoint_file import CheckpointError
from models.networks.errors import NetworkError
from models.networks.recipe import Recipe
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE
from pipelines.described_checkpoint import as_described
from torch_lowrank.io import save_network

READ = Preprocessing(0.2, 0.1, channels=3, image_size=(64, 48), interpolation="cubic")
CONV = {"in_channels": 3, "out_channels": 1, "kernel_size": 1}


@pytest.fixture
def unet(tmp_path: Path) -> str:
    Variant(BASELINE, UNet(3, 2, base_filters=4), READ, 2).save(tmp_path / "unet")
    return str(tmp_path / "unet" / "weights.safetensors")


@pytest.fixture
def conv(tmp_path: Path) -> str:
    recipe = Recipe("torch.nn.Conv2d", CONV)
    Variant(BASELINE, recipe.build(), READ, 1, recipe=recipe).save(tmp_path / "conv")
    return str(tmp_path / "conv" / "weights.safetensors")


def test_what_the_user_does_not_say_is_as_the_file_says(unet: str) -> None:
    config, found = as_described(load_config(["--checkpoint", unet, "data.axis=0"]))
    assert found is not None
    data = config.data
    assert (data.channels, data.image_size, data.interpolation, data.multi_class) == (3, (64, 48), "cubic", True)
    assert (config.input.mean, config.input.std, data.axis) == (0.2, 0.1, 0)


def test_what_agrees_may_be_said_again(unet: str) -> None:
    said = ["--channels", "3", "--multi_class", "--image_size", "64", "48", "input.mean=0.2"]
    assert as_described(load_config(["--checkpoint", unet, *said]))[0].data.image_size == (64, 48)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["input.mean=0.3"], r"input\.mean=0\.3 contradicts .*network\.json, which says 0\.2: leave it out, or"),
        (["--image_size", "64", "64"], r"data\.image_size=64x64 contradicts .* says 64x48"),
        (["--channels", "1"], r"data\.channels=1 contradicts .* says 3"),
        (["--interpolation", "area"], r"data\.interpolation=area contradicts .* says cubic"),
        (["data.multi_class=false"], r"data\.multi_class=False contradicts .* says True"),
        (["--network", "torch.nn.Conv2d"], r"--network torch\.nn\.Conv2d contradicts .* our U-Net"),
    ],
)
def test_a_contradiction_is_refused_with_both_sides(unet: str, given: list[str], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        as_described(load_config(["--checkpoint", unet, *given]))


def test_a_named_network_gets_the_arguments_that_it_was_saved_with(conv: str) -> None:
    config, _ = as_described(load_config(["--checkpoint", conv, "--network", "torch.nn.Conv2d"]))
    assert config.model.arguments == CONV
    again, _ = as_described(
        load_config(["--checkpoint", conv, "--network", "torch.nn.Conv2d", "--network_args", '{"kernel_size": 1}'])
    )
    assert again.model.arguments == CONV


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["torch.nn.Linear"], r"--network torch\.nn\.Linear contradicts .* says torch\.nn\.Conv2d"),
        (["torch.nn.Conv2d", "--network_args", '{"kernel_size": 3}'], r"kernel_size=3 contradicts .* kernel_size=1"),
        (["torch.nn.Conv2d", "model.output=0"], r"model\.output=0 contradicts .*model\.output=None"),
    ],
)
def test_another_network_than_the_saved_one_is_refused(conv: str, given: list[str], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        as_described(load_config(["--checkpoint", conv, "--network", *given]))


def test_a_network_that_the_user_does_not_name_is_not_imported(conv: str, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"made by torch\.nn\.Conv2d, and nothing .* imported.*--network torch"):
        as_described(load_config(["--checkpoint", conv]))
    save_network(Recipe("torch.nn.Conv2d", CONV).build(), tmp_path / "engine")
    file = str(tmp_path / "engine" / "weights.safetensors")
    with pytest.raises(NetworkError, match="name its constructor by --network"):
        as_described(load_config(["--checkpoint", file]))
    config, _ = as_described(load_config(["--checkpoint", file, "--network", "torch.nn.Conv2d"]))
    assert config.model.arguments == CONV


def test_what_no_run_can_read_is_refused(tmp_path: Path) -> None:
    Variant(BASELINE, UNet(4, 1, base_filters=4), Preprocessing(0.2, 0.1, channels=4), 1).save(tmp_path / "four")
    with pytest.raises(CheckpointError, match=r"what no run can have"):
        as_described(load_config(["--checkpoint", str(tmp_path / "four" / "weights.safetensors")]))


def test_other_checkpoints_leave_the_configuration_as_it_is(unet: str, tmp_path: Path) -> None:
    alone = Path(unet).rename(tmp_path / "weights.safetensors")
    config = load_config(["--checkpoint", str(alone)])
    assert as_described(config) == (config, None)
    assert as_described(load_config([])) == (load_config([]), None)
