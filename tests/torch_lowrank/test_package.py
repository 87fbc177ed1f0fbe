"""The engine as others install it: alone, typed, and as its manual says."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

import torch_lowrank

ROOT = Path(__file__).resolve().parents[2]
MANUAL = ROOT / "docs" / "engine.md"
SOURCES = ("pyproject.toml", "LICENSE", "docs/engine.md", "torch_lowrank")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where pip put the package; it was built outside the repository, which building would litter."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in SOURCES:
        (source / name).parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    for other in ("models", "steps"):  # packages beside it, as in the repository
        (source / other).mkdir()
        (source / other / "__init__.py").touch()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--target", target, source], check=True, capture_output=True, text=True)
    return target


def test_the_package_is_installed_alone_and_whole(installed):
    assert {path.name for path in installed.iterdir() if path.is_dir() and not path.name.endswith(".dist-info")} == {
        "torch_lowrank"
    }
    wanted = {path.relative_to(ROOT) for path in (ROOT / "torch_lowrank").rglob("*.py")}
    wanted.add(Path("torch_lowrank/py.typed"))
    assert {path.relative_to(installed) for path in installed.glob("torch_lowrank/**/*")} >= wanted


def test_the_metadata_names_version_licence_and_what_is_needed(installed):
    distribution = PathDistribution(next(installed.glob("*.dist-info")))
    about = distribution.metadata
    assert (about["Name"], about["Version"]) == ("torch-lowrank", torch_lowrank.__version__)
    assert (about["License-Expression"], about["License-File"]) == ("Apache-2.0", "LICENSE")
    assert {re.match(r"[a-z]+", need)[0] for need in distribution.requires} == {"torch", "numpy", "safetensors"}
    assert not [need for need in distribution.requires if "<" in need or "==" in need]


def test_the_code_of_the_manual_runs_beside_a_foreign_package_called_models(installed, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("raise ImportError('the engine imports models')")
    blocks = re.findall(r"^```python\n(.*?)^```$", MANUAL.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    # blank lines, so that the lines of an error are those of the page
    code, page = "", MANUAL.read_text(encoding="utf-8")
    for block in blocks:
        code += "\n" * (page[: page.index(block)].count("\n") - code.count("\n")) + block
    (tmp_path / "manual.py").write_text(
        f"{code}\nimport sys\nassert lr.__file__.startswith({str(installed)!r}), lr.__file__\n"
        "assert 'rich' not in sys.modules and 'models' not in sys.modules\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "manual.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "small" / "network.json").exists()
