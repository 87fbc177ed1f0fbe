"""Runs of networks that are not ours."""

import json
from pathlib import Path

import pytest
import yaml

from tests.pipelines.workshop import TINY, Workshop

pytestmark = pytest.mark.pipeline

SOURCE = """
from torch import nn
from blocks_beside import double

class Small(nn.Module):
    def __init__(self, in_channels, classes, width=8):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        return self.last(double(self.second(self.first(x)).relu()))
"""
BESIDE = "def double(x):\n    return 2 * x\n"
ONE = ("--svd_ranks", "2", "--arsvd_taus", "")


def without_unet(workshop: Workshop) -> None:
    config = {name: section for name, section in TINY.items() if name != "model"}
    (workshop.root / "tiny.yaml").write_text(yaml.safe_dump(config))


def networks(workshop: Workshop) -> dict[str, dict]:
    folders = (workshop.out / "networks").iterdir()
    return {folder.name: json.loads((folder / "network.json").read_text()) for folder in folders}


def test_a_network_in_a_file_is_trained_reused_and_forgotten_when_its_code_changes(
    fresh: Workshop, tmp_path: Path
) -> None:
    check_code_that_changes(fresh, tmp_path)


@pytest.mark.slow  # the sentences: tests/pipelines/test_network_check.py
def test_code_that_does_not_fit_the_weights_is_refused_and_put_back_runs_nothing(
    fresh: Workshop, tmp_path: Path
) -> None:
    before = check_code_that_changes(fresh, tmp_path)
    file, beside = tmp_path / "small_net.py", tmp_path / "blocks_beside.py"
    beside.write_text(BESIDE)
    file.write_text(
        SOURCE.replace("nn.Conv2d(width, width, 3", "nn.Conv2d(width, width, 5").replace(
            "1)\n        self.l", "2)\n        self.l"
        )
    )
    other = fresh.run("--reuse_training", *ONE, check=False)
    assert (other.status, other.steps) == (2, {})
    assert "of another shape: second.weight (12, 12, 3, 3) instead of (12, 12, 5, 5); put back the code" in other.stderr

    file.write_text(SOURCE)
    back = fresh.run("--reuse_training", *ONE)
    assert back.ran == {"compare"}
    assert "the code of today" not in back.stderr
    assert fresh.summary()["baseline"]["metrics"] == before


def check_code_that_changes(fresh: Workshop, tmp_path: Path) -> dict[str, float]:
    """Trains a network of a file, edits what it imports, and goes on; returns what the baseline achieved before."""
    without_unet(fresh)
    file, beside = tmp_path / "small_net.py", tmp_path / "blocks_beside.py"
    file.write_text(SOURCE)
    beside.write_text(BESIDE)
    run = fresh.run("--network", f"{file}:Small", "--network_args", '{"width": 12}', *ONE)
    assert "small_net.py:Small: 1,465 parameters, by the data in_channels=1, classes=1" in run.stderr
    assert "Small: 98.4 % of the parameters can be factorised; not: normalisation 1.64 %" in run.stderr
    fresh.assert_complete({"baseline", "svd_rank_2"})
    said = networks(fresh)["svd_rank_2"]
    code = fresh.summary()["provenance"]["network_code"]
    assert said["about"]["network"] == {
        "code": code,
        "name": "small_net.py:Small",
        "arguments": {"width": 12, "in_channels": 1, "classes": 1},
        "output": None,
    }
    assert fresh.summary()["config"]["model"] == {
        "network": "small_net.py:Small",
        "arguments": {"width": 12},
        "output": None,
    }
    assert fresh.summary()["baseline"]["factorizable"]["others"] == {"normalisation": pytest.approx(24 / 1465)}
    names = [name for (name,) in fresh.query("SELECT name FROM runs")]
    assert any(name.startswith("training ") and ", Small, seed 42, 32x32 gray, " in name for name in names)
    before = fresh.summary()["baseline"]["metrics"]

    beside.write_text(BESIDE.replace("2 * x", "-2 * x"))  # the weights are the same, what they compute is not
    again = fresh.run("--reuse_training", *ONE)
    assert "train_unet" not in again.steps
    assert {"decompose", "compress_svd_rank_2", "evaluate_baseline", "evaluate_svd_rank_2"} <= again.ran
    assert fresh.summary()["baseline"]["metrics"] != before
    assert "its weights are run by the code of today" in again.stderr
    assert "changed since it was trained" in fresh.summary()["provenance"]["network"]
    assert {said["about"]["network"]["code"] for said in networks(fresh).values()} == {
        fresh.summary()["provenance"]["network_code"]
    }
    assert fresh.summary()["provenance"]["network_code"] != code
    return before


def test_a_network_that_does_not_fit_is_an_input_error(fresh: Workshop) -> None:
    """What else does not fit: tests/models/networks/test_trial.py."""
    without_unet(fresh)
    words = ("monai.networks.nets.BasicUNet", "--network_args", '{"out_channels": 2}')
    failed = fresh.run("--network", *words, check=False)
    assert failed.status == 2
    assert "binary masks need 1" in failed.stderr
    assert failed.steps == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "more"),
    [
        ("BasicUNet", {"features": [8, 8, 16, 16, 16, 8]}, ("--recalibrate", "--finetune_compressed")),
        (
            "DynUNet",
            {
                "kernel_size": [3, 3, 3],
                "strides": [1, 2, 2],
                "upsample_kernel_size": [2, 2],
                "filters": [8, 16, 32],
                "deep_supervision": True,
            },
            ("model.output=0", "--finetune_compressed", "--finetune_epochs", "1"),
        ),
    ],
)
def test_a_network_of_monai_goes_from_its_name_to_the_report(
    name: str, arguments: dict, more: tuple[str, ...], fresh: Workshop
) -> None:
    without_unet(fresh)
    network = ("--network", f"monai.networks.nets.{name}", "--network_args", json.dumps(arguments))
    run = fresh.run(*network, *ONE, "--budgets", "0.5", "--mac_budgets", "0.6", *more)
    assert f"monai.networks.nets.{name}: " in run.stderr
    fresh.assert_complete(
        {"baseline", "svd_rank_2", "svd_budget_0.5", "arsvd_budget_0.5", "budget_0.5", "budget_0.5_macs_0.6"}
    )
    assert all(said["about"]["network"]["name"].endswith(name) for said in networks(fresh).values())
    assert name in (fresh.out / "report.html").read_text()
    checkpoint = fresh.out / "networks" / "baseline" / "weights.safetensors"
    kept = fresh.variants()["baseline"]["metrics"]
    imported = fresh.run(*network, *ONE, *(word for word in more if "output" in word), "--checkpoint", str(checkpoint))
    assert "train_unet" not in imported.steps
    assert fresh.variants()["baseline"]["metrics"] == kept
