"""docs/deploy.md: its Python runs as it stands, its commands are ones that are understood."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.loading import FLAGS, load_config
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE
from reporting.prediction_folder import LEFT_OUT, MASKS, OVERLAYS, TABLE
from tests.dataset.layouts.written import picture, write

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


def blocks(title: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the page supposes: the networks of a run, and images."""
    torch.manual_seed(0)
    read = Preprocessing(0.18, 0.18, channels=1, image_size=(32, 32))
    network = Variant(BASELINE, UNet(base_filters=4), read, 1)
    network.save(tmp_path / "artifacts" / "demo" / "networks" / "baseline")
    write(tmp_path / "scans" / "a.png", picture(0, side=40))
    write(tmp_path / "scans" / "deep" / "b.tif", picture(1, side=24, depth=np.uint16))
    (tmp_path / "scans" / "c.png").write_bytes(b"no image")
    return tmp_path


def test_the_python_of_the_page_runs(folder: Path) -> None:
    found = blocks("Python", "python")
    assert len(found) == 3
    ends = "\nassert masks.shape == (2, 32, 32) and network(torch.zeros(1, 1, 32, 32)).shape == (1, 1, 32, 32)\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(found) + ends],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(" (")[0] for line in lines] == ["a.png", "deep/b.tif"]
    assert "(40, 40)" in lines[0]
    assert "(24, 24)" in lines[1]


def test_the_commands_of_the_page_are_understood() -> None:
    commands = [line for block in blocks("Command line", "bash") for line in block.splitlines()]
    assert len(commands) == 3
    for command in commands:
        program, *arguments = shlex.split(command)[1:]
        assert program == "run_pipeline.py"
        wanted = load_config(arguments).prediction
        assert wanted.images is not None
        assert wanted.network is not None


def test_the_page_names_files_and_flags_that_there_are() -> None:
    text = section("Command line")
    for name in (f"{MASKS}/", f"{OVERLAYS}/", TABLE, LEFT_OUT):
        assert f"| `{name}` |" in text
    flags = set(re.findall(r"--(\w+)", text))
    assert flags <= {*FLAGS}
    assert {"predict", "model", "out_dir", "skip_bad_samples", "network", "image_size"} <= flags
