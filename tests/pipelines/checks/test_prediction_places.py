"""What is wrong with the places of a run with `--predict` is told before anything is imported that takes seconds."""

from pathlib import Path

import pytest
import torch

from configs.loading import load_config
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE
from pipelines.checks.first_look import faults_of_places
from pipelines.checks.prediction_places import prediction_outline
from tests.dataset.layouts.written import picture, write
from tests.pipelines.checks.test_first_look import run


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A folder of images, one of nothing, a network, and one without weights."""
    torch.manual_seed(0)
    for name in ("network", "half"):
        Variant(BASELINE, UNet(base_filters=4), Preprocessing(0.5, 0.2), 1).save(tmp_path / "networks" / name)
    (tmp_path / "networks" / "half" / "weights.safetensors").unlink()
    write(tmp_path / "scans" / "a.png", picture(0))
    write(tmp_path / "scans" / "deep" / "b.tif", picture(1))
    (tmp_path / "scans" / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    write(tmp_path / "dataset" / "masks" / "truth.png", picture(0))
    return tmp_path


IMAGES, NETWORK = "--predict {0}/scans", "--model {0}/networks/network"
WRONG = {  # what is typed: what is said
    f"--predict {{0}}/none {NETWORK} --out_dir {{0}}/out": "{0}/none is neither an image file nor a folder of images",
    f"--predict {{0}}/empty {NETWORK} --out_dir {{0}}/out": "{0}/empty holds no image (.png,",
    f"{IMAGES} --model {{0}}/none --out_dir {{0}}/out": "{0}/none is no folder; give that of a network",
    f"{IMAGES} --model {{0}}/networks --out_dir {{0}}/out": "network.json is missing; give one of those below it",
    f"{IMAGES} --model {{0}}/networks/half --out_dir {{0}}/out": "weights.safetensors is missing; copy it again",
    f"{IMAGES} --model s3://bucket/network --out_dir {{0}}/out": "s3://bucket/network is none of models:/, runs:/",
    f"{IMAGES} {NETWORK} --out_dir {{0}}/scans": "results in {0}/scans would lie among the images of {0}/scans",
    f"{IMAGES} {NETWORK} --out_dir {{0}}/scans/deep/out": "would lie among the images of {0}/scans",
    f"{IMAGES} {NETWORK} --out_dir {{0}}/dataset": "{0}/dataset/masks would be replaced, and holds what no prediction",
    f"--predict {{0}}/dataset/masks/truth.png {NETWORK} --out_dir {{0}}/dataset": "which is replaced: choose another",
    f"{IMAGES} {NETWORK} --out_dir {{0}}/out --network {{0}}/none.py:Net": "none.py is no Python file that is there",
}


@pytest.mark.parametrize("command", WRONG)
def test_what_is_wrong_with_a_place_is_said_and_nothing_is_written(command: str, places: Path) -> None:
    before = {*places.rglob("*")}
    found = faults_of_places(load_config(command.format(places).split()))
    assert any(WRONG[command].format(places) in fault for fault in found)
    assert {*places.rglob("*")} == before


@pytest.mark.parametrize("command", [*list(WRONG)[:5], f"{IMAGES} {NETWORK} --epochs 3", IMAGES])
def test_it_is_told_without_the_libraries_that_take_seconds(command: str, places: Path) -> None:
    status, imported, said = run(*command.format(places).split(), cwd=places)
    assert status == 2
    assert {*imported} <= {"numpy"}, "with which safetensors opens weights that are as they should be"
    assert said.startswith("error: ")
    assert WRONG.get(command, "").format(places) in said


def test_what_is_right_is_let_through(places: Path) -> None:
    for command in (
        f"{IMAGES} {NETWORK} --out_dir {{0}}/out",
        f"--predict {{0}}/scans/a.png {NETWORK} --out_dir {{0}}/scans",  # one image, and not its folder
        f"{IMAGES} --model models:/tumor@champion --out_dir {{0}}/out",  # MLflow is asked later
    ):
        assert faults_of_places(load_config(command.format(places).split())) == []


def test_the_outline_says_what_is_predicted_by_what(places: Path) -> None:
    command = f"{IMAGES} {NETWORK} --out_dir out"
    assert prediction_outline(load_config(command.format(places).split())) == (
        f"predict: 2 images in {places}/scans (1 other files left out); network: {places}/networks/network; "
        "results: out"
    )
    command = f"--predict {{0}}/scans/a.png {NETWORK}"
    assert prediction_outline(load_config(command.format(places).split())) == (
        f"predict: {places}/scans/a.png; network: {places}/networks/network; results: artifacts"
    )
