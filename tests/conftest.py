"""What all tests share: the real data and network where they are there, and which tests run beside each other.

`make test` runs in two processes (pytest-xdist). All tests of a file run in the same one, as they share what they have
prepared.
"""

import atexit
import collections
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Before torch is imported. The networks of the tests are too small to share out among threads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
for _library in ("OMP", "MKL", "OPENBLAS"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

# What the user has set for ZenML and MLflow says nothing to tests, and tests write nothing to the user's folders.
for _name in [name for name in os.environ if name.startswith(("MLFLOW_", "ZENML_"))]:
    del os.environ[_name]
os.environ |= {"ZENML_ANALYTICS_OPT_IN": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
os.environ["ZENML_CONFIG_PATH"] = tempfile.mkdtemp(prefix="zenml-of-tests-")
atexit.register(shutil.rmtree, os.environ["ZENML_CONFIG_PATH"], ignore_errors=True)

# A worker of pytest-xdist has no main module's file, from which ZenML would know where sources lie.
if not hasattr(sys.modules["__main__"], "__file__"):
    sys.modules["__main__"].__file__ = str(Path(pytest.__file__).with_name("__main__.py"))

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


# Files that take longest in `make test`, the longest first: none of them is left to one process at the end.
LONGEST = (
    "pipelines/test_comparison.py",
    "pipelines/test_named_network.py",
    "pipelines/test_recovery.py",
    "pipelines/test_command_line.py",
    "pipelines/test_interrupts.py",
    "pipelines/test_repair.py",
    "pipelines/test_predict.py",
    "pipelines/test_privacy.py",
    "pipelines/test_layouts.py",
    "pipelines/test_recompress.py",
    "tracking/test_mlflow_runs.py",
    "models/training/test_multiprocess.py",
    "models/training/test_fit.py",
    "dataset/test_fuzz.py",
    "test_architecture.py",
    "torch_lowrank/test_io.py",
    "torch_lowrank/test_package.py",
    "models/networks/test_recipe.py",
    "tracking/test_served_models.py",
    "test_benchmarks.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the longest files first where several processes share the work, those of unknown time by their tests."""
    tests_of = collections.Counter(item.path for item in items)
    place = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (place.get(item.path, len(place)), -tests_of[item.path]))


def _shared(place: str) -> Path:
    path = SHARED / place
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


@pytest.fixture(scope="session")
def brain_tumor() -> Path:
    """The brain tumor data set, 1,931 images."""
    return _shared("data/brain_tumor")


@pytest.fixture(scope="session")
def shared_outlines() -> Path:
    """The brain tumor data set with outlines, 701 images."""
    return _shared("data/brain_tumor_outlines")


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """Small data sets that were once read wrongly."""
    return _shared("cases")


@pytest.fixture(scope="session")
def trained_unet() -> Path:
    """A U-Net with 16 filters that was trained on it."""
    return _shared("models/unet16_gray128.safetensors")


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    """Debian's Chromium, without a window."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a machine with a GPU alone tests models without

    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("Chromium is not installed (apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
