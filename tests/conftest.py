"""What all tests share: the real data and network where they are there, and torch that leaves cores to others."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


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
