"""A copy of the project with ZenML and MLflow stores of its own, in which whole pipelines run."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from mlflow.entities import LoggedModelStatus

from dataset.phantoms.write_phantoms import write_phantoms
from tests.pipelines import warm

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = (
    "analysis",
    "configs",
    "dataset",
    "materializers",
    "models",
    "pipelines",
    "reporting",
    "steps",
    "torch_lowrank",
    "tracking",
    "run_pipeline.py",
)
TINY = {
    "data": {"image_size": [32, 32], "channels": 1},
    "model": {"base_filters": 4, "dropout": 0},
    "training": {"epochs": 1, "batch_size": 8, "lr": 0.004},
    "compression": {"svd_ranks": [1, 2], "arsvd_taus": [0.5, 0.8]},
    "timing": {"seconds": 0.01},
}
MODEL_READY = LoggedModelStatus.READY.to_int()
PATIENCE = 900  # seconds for a command
TINY_VARIANTS = {"baseline", "svd_rank_1", "svd_rank_2", "arsvd_tau_0.5", "arsvd_tau_0.8"}


@dataclasses.dataclass(frozen=True)
class Finished:
    """One call of run_pipeline.py."""

    status: int
    stdout: str
    stderr: str

    @property
    def steps(self) -> dict[str, bool]:
        """Step name to whether it ran; False is cached."""
        words = [line.split() for line in self.stderr.splitlines()]
        return {word[0]: word[1] != "cached" for word in words if len(word) == 2 and word[0].islower()}

    @property
    def ran(self) -> set[str]:
        """The steps that were not cached."""
        return {step for step, ran in self.steps.items() if ran}


def environment_in(folder: Path) -> dict[str, str]:
    """The variables of a command for which ZenML's own folder lies in this one."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "ZENML"))}
    return environment | {
        "ZENML_CONFIG_PATH": str(folder / "zenml"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


class Workshop:
    """The copied project.

    Attributes:
        folder: Where all of it lies.
        root: The project itself.
        data: The tiny data.
        out: The folder of results.
        first: The first run, where one has been made.
        environment: The variables of the commands.
        cold: Whether every command is started by a Python of its own, not as a fork of one that has the libraries.
    """

    cold: ClassVar[bool] = False
    first: Finished

    def __init__(self, folder: Path) -> None:
        self._take(folder)
        self.root.mkdir(parents=True)
        for name in SOURCES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, self.root / name)
        (self.root / "tiny.yaml").write_text(yaml.safe_dump(TINY))
        write_phantoms(self.data, 1, {"train": 16, "valid": 6, "test": 6}, 64)

    @classmethod
    def copied(cls, kept: Path, folder: Path) -> Workshop:
        """Puts a project that has run in a folder, and has been moved away since, to that folder again.

        ZenML's and MLflow's databases and cache keys hold paths, so that it can be copied to no other.
        """
        shutil.copytree(kept, folder, symlinks=True)
        made = cls.__new__(cls)
        made._take(folder)
        return made

    def _take(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "project"
        self.data = folder / "data"
        self.out = folder / "out"
        self.environment = environment_in(folder)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Those of the tiny configuration on the tiny data."""
        return ("--config", "tiny.yaml", "--data_root", str(self.data), "--out_dir", str(self.out))

    def run(self, *arguments: str, tiny: bool = True, check: bool = True, cold: bool = False) -> Finished:
        """Calls run_pipeline.py, by default with the tiny configuration on the tiny data."""
        defaults = self.arguments if tiny else ()
        done = self.call("python", "run_pipeline.py", *defaults, *arguments, cold=cold)
        if check and done.status != 0:
            pytest.fail(f"exit {done.status}\n{done.stdout}\n{done.stderr}")
        return done

    def call(self, *command: str, cwd: Path | None = None, cold: bool = False) -> Finished:
        """Runs a command in the project."""
        if not (cold or self.cold) and warm.can_be_warm(command, self.environment):
            done = warm.run(command, cwd or self.root, self.environment, PATIENCE)
            return Finished(done.returncode, done.stdout, done.stderr)
        done = subprocess.run(
            command,
            cwd=cwd or self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def summary(self) -> dict:
        """The experiment summary of the last run."""
        return json.loads((self.out / "experiment_summary.json").read_text())

    def variants(self) -> dict[str, dict]:
        """All variants of the last run's summary, by name."""
        summary = self.summary()
        lists = (entries for key, entries in summary.items() if key.endswith("_variants"))
        return {entry["name"]: entry for entry in itertools.chain([summary["baseline"]], *lists)}

    def recorded(self) -> dict[str, dict[str, dict]]:
        """What MLflow holds: parent run's id to its nested runs' metrics by name.

        A name twice is an error, and so is a nested run that has not one model, written to its end.
        """
        names = self.query("SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage = 'active'")
        parent_of = dict(self.query("SELECT run_uuid, value FROM tags WHERE key = 'mlflow.parentRunId'"))
        models = self.query("SELECT source_run_id, status FROM logged_models WHERE lifecycle_stage = 'active'")
        assert sorted(models) == sorted((run, MODEL_READY) for run, _, _ in names if run in parent_of)
        parents = {run: {} for run, _, _ in names if run not in parent_of}
        for run, name, status in names:
            assert status == "FINISHED"
            if run in parent_of:
                children = parents[parent_of[run]]
                assert name not in children, f"{name} is recorded twice"
                children[name] = dict(self.query("SELECT key, value FROM latest_metrics WHERE run_uuid = ?", run))
        return parents

    def query(self, sql: str, *values: str) -> list[tuple]:
        """Asks MLflow's database, without MLflow, which would keep a deleted one open."""
        with contextlib.closing(sqlite3.connect(self.root / "mlflow.db")) as database:
            return database.execute(sql, values).fetchall()

    def assert_complete(self, names: set[str]) -> None:
        """Checks that the files and MLflow hold exactly these variants, with the same numbers."""
        variants = self.variants()
        assert set(variants) == names
        assert {folder.name for folder in (self.out / "networks").iterdir()} == names
        found = [children for children in self.recorded().values() if set(children) >= names]
        assert any(
            all(children[name]["dice"] == pytest.approx(variants[name]["metrics"]["dice"]) for name in names)
            and all(children[name]["params"] == variants[name]["info"]["params"] for name in names)
            for children in found
        ), "no training in MLflow has all variants with the summary's numbers"
