"""What is installed and what is fetched: versions are pinned, and nothing calls home unless somebody allows it."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from models.unet import UNet
from torch_lowrank.io import save_network

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"[a-z0-9][a-z0-9._-]*==[0-9][a-z0-9.!]*( ; .+)?", re.IGNORECASE)


@pytest.mark.parametrize("file", sorted(ROOT.glob("requirements*.txt")), ids=lambda file: file.name)
def test_every_requirement_is_pinned_and_torch_without_its_build(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not PINNED.fullmatch(line)] == []


def test_every_direct_requirement_is_among_the_pinned() -> None:
    direct = re.findall(r"^[a-z0-9-]+", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    pinned = re.findall(r"^[a-z0-9-]+", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(direct) > 15
    assert set(direct) <= set(pinned)


@pytest.mark.parametrize(("name", "value"), [("ZENML_ANALYTICS_OPT_IN", "false"), ("MLFLOW_DISABLE_TELEMETRY", "true")])
def test_telemetry_is_off_unless_its_own_variable_allows_it(name: str, value: str) -> None:
    def seen(environment: dict[str, str]) -> str:
        code = f"import os, run_pipeline; run_pipeline._set_environment(False); print(os.environ['{name}'])"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    environment = {key: text for key, text in os.environ.items() if key != name}
    assert seen(environment) == value
    assert seen(environment | {name: "chosen"}) == "chosen"


def test_unfinished_networks_are_for_this_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a network is whole it lies in a folder beside its place, which nobody else may enter."""
    modes = []
    remove = shutil.rmtree

    def watched(folder: Path, **options: bool) -> None:
        modes.append(stat.S_IMODE(folder.stat().st_mode))
        remove(folder, **options)

    monkeypatch.setattr("torch_lowrank.whole_files.shutil.rmtree", watched)
    save_network(UNet(1, 1, 2), tmp_path / "network")
    assert modes == [0o700]


def test_temporary_files_are_made_by_pythons_tempfile_which_keeps_them_private() -> None:
    packages = {file.parent for file in ROOT.glob("*/__init__.py")} - {ROOT / "tests", ROOT / "benchmarks"}
    files = [ROOT / "run_pipeline.py", *(file for package in packages for file in package.rglob("*.py"))]
    # The folder of a machine that a step has for itself, without other users.
    sources = {file: file.read_text().replace('= "/tmp/arsvd"', "") for file in files}
    assert len(sources) > 80
    public = re.compile(r"mktemp\(|gettempdir\(|[\"']/tmp|/var/tmp|/dev/shm")
    assert [file.name for file, text in sources.items() if public.search(text)] == []


def test_a_run_may_have_more_steps_than_zenml_remembers_by_itself() -> None:
    code = (
        "import run_pipeline\n"
        "run_pipeline._set_environment(verbose=False)\n"
        "from zenml.execution.context import ExecutionContext\n"
        "known = ExecutionContext().step_runs\n"
        "known.update({f'step_{number}': number for number in range(500)})\n"
        "print(len(known), known['step_0'])\n"
    )
    without = {key: value for key, value in os.environ.items() if not key.startswith("ZENML_EXECUTION")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=without, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["500", "0"]
