"""Where results come from: versions of libraries, and the commit."""

from __future__ import annotations

import datetime
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

_PACKAGES = (
    "torch",
    "zenml",
    "mlflow",
    "lightning",
    "monai",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "pycocotools",
)


def provenance(root: Path) -> dict[str, str]:
    """Returns the time, the commit of the repository, and the versions of Python and the libraries that matter."""
    versions = {package: version(package) for package in _PACKAGES}
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "git_commit": _git_commit(root),
        "python": platform.python_version(),
        "system": platform.system(),
        **versions,
    }


def _git_commit(root: Path) -> str:
    """Returns the commit, with `-dirty` where files differ from it; `unknown` outside a git repository."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607 - git of the user
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "unknown"
    return described.stdout.strip() or "unknown"
