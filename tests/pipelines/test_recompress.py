"""Compression of networks that exist already."""

import json
import re
import shutil
from pathlib import Path

import pytest
from safetensors.torch import save_file

from models.unet import UNet
from tests.pipelines.workshop import TINY_VARIANTS, Workshop

pytestmark = pytest.mark.pipeline

SETTINGS = {  # variant: (parameters, Dice) of the shared network, measured without this project's code
    "baseline": (838_497, 0.777),
    "svd_rank_16": (191_585, 0.713),
    "svd_rank_32": (356_193, 0.771),
    "arsvd_tau_0.85": (521_761, 0.770),
    "arsvd_tau_0.9": (626_321, 0.771),
}


def without_data(workshop: Workshop) -> tuple[str, ...]:
    """The arguments of the tiny configuration, but for the folder of data."""
    return ("--config", "tiny.yaml", "--out_dir", str(workshop.out))


def test_the_latest_training_is_reused_whatever_has_changed_since(workshop: Workshop) -> None:
    away = workshop.data.rename(workshop.data.with_name("away"))
    training = workshop.root / "models" / "training" / "fit.py"
    training.write_text(training.read_text() + "\n# edited\n")
    others = ("--svd_ranks", "1,3", "--epochs", "7", "--base_filters", "8", "--seed", "7")
    again = workshop.run(*without_data(workshop), "--reuse_training", *others, tiny=False)
    away.rename(workshop.data)
    assert not {"train_unet", "ingest_coco", "fingerprint_dataset"} & set(again.steps)
    assert {"compress_svd_rank_3", "evaluate_svd_rank_3"} <= again.ran
    assert "compress_svd_rank_1" not in again.ran
    assert "going on from baseline_network:1 of 20" in again.stderr
    dice = json.loads((workshop.out / "train_history.json").read_text())["best_valid_dice_lesion"]
    about = f"U-Net of 4 filters, seed 42, trained on data (32x32, gray), Dice {dice:.3f} on the images of valid with a"
    assert re.search(rf"UTC \(run comparison-\S+\): {re.escape(about)} lesion\n", again.stderr)
    assert "holds: model.base_filters=4 (not 8), training.epochs=1 (not 7), seed=42 (not 7)" in again.stderr
    workshop.assert_complete((TINY_VARIANTS - {"svd_rank_2"}) | {"svd_rank_3"})
    assert workshop.summary()["config"]["training"]["epochs"] == 1, "the training's own configuration is reported"


def test_a_folder_of_other_data_than_a_reused_training_has_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    other = shutil.copytree(workshop.data, tmp_path / "other")
    next(other.glob("test/*.png")).write_bytes(b"another image")
    failed = workshop.run("--reuse_training", "--data_root", str(other), check=False)
    assert failed.status == 2
    assert f"--data_root {other} is not the data that baseline_network:1 of 20" in failed.stderr
    assert " was trained on, data (run comparison-" in failed.stderr
    assert failed.steps == {}


def test_a_training_is_reused_by_artifact_version_and_linked_wherever_its_data_lie_now(
    workshop: Workshop, tmp_path: Path
) -> None:
    same = shutil.copytree(workshop.data, tmp_path / "same")
    again = workshop.run("--reuse_training", "baseline_network:1", "--data_root", str(same))
    assert again.ran == {"compare"}
    assert "trained otherwise" not in again.stderr
    workshop.assert_complete(TINY_VARIANTS)
    code = (
        "from zenml.client import Client;"
        "version = Client().list_pipeline_runs(sort_by='desc:created', size=1).items[0].model_version;"
        "print(*version.data_artifacts, *version.model_artifacts)"
    )
    linked = workshop.call("python", "-c", code).stdout.splitlines()[-1].split()
    assert {"dataset", "train_history", "baseline_network", "svd_rank_1_network", "comparison"} <= set(linked)


@pytest.mark.parametrize("which", ["no_such_run", "baseline_network:999"])
def test_a_training_that_does_not_exist_is_an_input_error(workshop: Workshop, which: str) -> None:
    failed = workshop.run("--reuse_training", which, check=False)
    assert failed.status == 2
    assert which in failed.stderr


@pytest.mark.slow
def test_a_checkpoint_gives_the_known_figures(fresh: Workshop, trained_unet, brain_tumor) -> None:
    run = fresh.run(
        *("--checkpoint", str(trained_unet), "--data_root", str(brain_tumor), "--out_dir", str(fresh.out)),
        *("--image_size", "128", "128", "--svd_ranks", "16,32", "--arsvd_taus", "0.85,0.9"),
        tiny=False,
    )
    assert "train_unet" not in run.steps
    variants = fresh.variants()
    assert set(variants) == set(SETTINGS)
    for name, (params, dice) in SETTINGS.items():
        assert variants[name]["info"]["params"] == params
        assert variants[name]["metrics"]["dice"] == pytest.approx(dice, abs=0.005 if name != "baseline" else 0.004)


@pytest.mark.slow
def test_a_checkpoint_of_a_known_network_gives_the_same_results(workshop: Workshop, tmp_path: Path) -> None:
    sweep = ("--svd_ranks", "2", "--arsvd_taus", "0.5")
    workshop.run(*sweep)
    before = workshop.variants()
    checkpoint = shutil.copy(workshop.out / "networks" / "baseline" / "weights.safetensors", tmp_path)
    run = workshop.run(*sweep, "--checkpoint", str(checkpoint))
    assert "given images as 32x32, gray, resized by area, (x / 255 - 0.18) / 0.18; a checkpoint does not" in run.stderr
    assert "train_unet" not in run.steps
    workshop.assert_complete(set(before))
    for name, entry in workshop.variants().items():
        assert (entry["metrics"], entry["info"]["params"]) == (before[name]["metrics"], before[name]["info"]["params"])


def test_a_checkpoint_that_takes_no_images_as_they_are_read_is_an_input_error(workshop: Workshop) -> None:
    save_file(UNet(4, base_filters=2).state_dict(), workshop.root / "four.safetensors")
    failed = workshop.run("--checkpoint", "four.safetensors", check=False)
    assert failed.status == 2
    assert "takes 4 channels, and images are read as gray (1) or colour (3)" in failed.stderr


def test_a_checkpoint_that_is_no_state_dict_is_an_input_error(workshop: Workshop) -> None:
    file = workshop.root / "other.safetensors"
    file.write_bytes(b"not a network")
    failed = workshop.run("--checkpoint", str(file), check=False)
    assert failed.status == 2
    assert "other.safetensors" in failed.stderr
