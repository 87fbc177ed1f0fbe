"""Runs tests of a copy of the repository in forks of this process, which has imported the libraries."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGES = ("analysis", "benchmarks", "configs", "dataset", "materializers", "models", "pipelines", "reporting")
PACKAGES += ("steps", "tests", "torch_lowrank", "tracking", "run_pipeline")
BROKEN = "pytest ended with status"
QUICK = "not slow and not torture and not pipeline"


class Ended(NamedTuple):
    """What became of some tests: those that failed, and whether they were ended as they took too long."""

    failed: list[str]
    timed_out: bool
    seconds: float


def load_libraries() -> None:
    """Imports what the tests need and what takes seconds to import; nothing of the project. One thread each."""
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    import hypothesis  # noqa: F401, PLC0415
    import lightning.pytorch  # noqa: F401, PLC0415
    import matplotlib.pyplot  # noqa: F401, PLC0415
    import monai.losses  # noqa: F401, PLC0415
    import scipy.stats  # noqa: F401, PLC0415
    import torch  # noqa: F401, PLC0415
    import zenml.client  # noqa: F401, PLC0415


def copied(root: Path, place: Path) -> Path:
    """Copies what git knows, as it is in the working tree, and links the folder of shared data beside it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (root / name).is_file():
            (place / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, place / "copy" / name)
    if (root.parent / "shared").is_dir():
        (place / "shared").symlink_to(root.parent / "shared")
    return place / "copy"


class Seen:
    """Notes the tests that fail, and errors of collection."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def run_tests(copy: Path, files: list[str], without: list[str], seconds: float, *, first: bool) -> Ended:
    """Runs the quick tests of some files in a fork.

    Args:
        copy: The repository.
        files: Test files, in this order.
        without: Tests to leave out, by node id.
        seconds: After which the fork is ended.
        first: Whether the first failure ends it.
    """
    begin = time.monotonic()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _become(copy, files, without, writing, first)
    os.close(writing)
    content, end, timed_out = b"", begin + seconds, False
    while True:
        if not select.select([reading], [], [], max(0, end - time.monotonic()))[0]:
            timed_out = True
            break
        if not (piece := os.read(reading, 1 << 16)):
            break
        content += piece
    os.close(reading)
    os.killpg(child, signal.SIGKILL)  # and what its tests have started
    status = os.waitpid(child, 0)[1]
    failed = json.loads(content) if content else [f"no result; status {status}"]
    return Ended([] if timed_out else failed, timed_out, time.monotonic() - begin)


def _become(copy: Path, files: list[str], without: list[str], writing: int, first: bool) -> None:
    """Runs pytest in the copy, as if nothing of the project had been imported, and never returns."""
    os.setpgid(0, 0)
    os.chdir(copy)
    for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
        del sys.modules[name]
    sys.path[:] = [str(copy), *(path for path in sys.path if path and not Path(path, "run_pipeline.py").exists())]
    sys.dont_write_bytecode = True  # files change more often than their times
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    silent = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(silent, number)
    seen = Seen()
    with tempfile.TemporaryDirectory() as place:
        arguments = ["-q", "-p", "no:cacheprovider", "--rootdir", str(copy), "-m", QUICK]
        arguments += ["--basetemp", f"{place}/tests", *(f"--deselect={test}" for test in without)]
        status = pytest.main([*arguments, *(["-x"] if first else []), *files], plugins=[seen])
    if status not in (0, 1, 5) and not seen.failed:  # 5: no tests
        seen.failed = [f"{BROKEN} {status}"]
    os.write(writing, json.dumps(seen.failed[:50]).encode())
    os._exit(0)
