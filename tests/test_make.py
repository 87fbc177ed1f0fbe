"""The Makefile: what it offers, and that results are removed only when somebody wants that."""

import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ("artifacts/demo/results.csv", "mlruns/0/meta.yaml", "mlflow.db", ".zen/config.yaml")
MADE_AGAIN = (".venv/bin/python", ".mypy_cache/x", ".ruff_cache/x", ".pytest_cache/x")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which something was run, and ZenML's store beside it."""
    here = tmp_path / "project"
    for file in (*RESULTS, *MADE_AGAIN, "experiments/run1/results.csv"):
        (here / file).parent.mkdir(parents=True, exist_ok=True)
        (here / file).write_text("x")
    (tmp_path / "zenml").mkdir()
    shutil.copy(ROOT / "Makefile", here)
    return here


def make(folder: Path, *arguments: str, typed: str | None = None) -> subprocess.CompletedProcess:
    """What make says in that folder; without a terminal, unless something is typed."""
    environment = {**os.environ, "ZENML_CONFIG_PATH": str(folder.parent / "zenml")}
    command = ["make", "-C", str(folder), *arguments]
    options = {"env": environment, "capture_output": True, "text": True}
    if typed is None:
        return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, **options)
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, typed.encode())
        return subprocess.run(command, check=False, stdin=terminal, **options)
    finally:
        os.close(keyboard)
        os.close(terminal)


def left(folder: Path, files: tuple[str, ...]) -> list[str]:
    return [file for file in files if (folder / file).exists()]


def test_make_alone_says_what_there_is_and_does_nothing(folder: Path) -> None:
    before = {*folder.rglob("*")}
    said = make(folder).stdout
    targets = re.search(r"^\.PHONY: (help .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets is not None
    listed = re.findall(r"^  ([a-z-]+) +\S", said, re.MULTILINE)
    assert listed == targets[1].split()
    assert max(map(len, said.splitlines())) <= 120
    assert {*folder.rglob("*")} == before


def test_clean_keeps_results_and_says_what_is_left(folder: Path) -> None:
    done = make(folder, "clean")
    assert done.returncode == 0
    assert left(folder, MADE_AGAIN) == []
    assert left(folder, RESULTS) == [*RESULTS]
    for kept in ("artifacts", "mlruns", "mlflow.db", ".zen", str(folder.parent / "zenml")):
        assert re.search(rf"^ +[\d.,]+[A-Z]?\t{re.escape(kept)}$", done.stdout, re.MULTILINE), kept
    assert "make clean-results" in done.stdout


def test_results_are_not_removed_without_a_terminal(folder: Path) -> None:
    done = make(folder, "clean-results")
    assert done.returncode == 2
    assert "YES=1" in done.stderr
    assert left(folder, RESULTS) == [*RESULTS]


@pytest.mark.parametrize(("typed", "kept"), [("y\n", []), ("yes\n", []), ("\n", [*RESULTS]), ("n\n", [*RESULTS])])
def test_results_are_removed_where_somebody_says_so(folder: Path, typed: str, kept: list[str]) -> None:
    done = make(folder, "clean-results", typed=typed)
    assert done.returncode == 0
    assert "Remove these for good?" in done.stdout
    assert left(folder, RESULTS) == kept


def test_results_are_removed_without_a_question_where_the_command_says_so(folder: Path) -> None:
    done = make(folder, "clean-results", "YES=1")
    assert done.returncode == 0
    assert "Remove" not in done.stdout
    assert left(folder, RESULTS) == []
    assert left(folder, (*MADE_AGAIN, "experiments/run1/results.csv")) == [*MADE_AGAIN, "experiments/run1/results.csv"]
    assert (folder.parent / "zenml").is_dir()
    assert "there are no results" in make(folder, "clean-results", "YES=1").stdout
