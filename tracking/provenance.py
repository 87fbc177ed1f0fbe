"""Where results come from: the time, the commit, and the versions of libraries."""

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


def provenance(root: Path, commit: str | None = None) -> dict[str, str]:
    """Returns the time, the commit, and the versions of Python and the libraries that matter.

    Args:
        root: The repository.
        commit: Its commit, where `root` is a copy that does not know it.
    """
    versions = {package: version(package) for package in _PACKAGES}
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "git_commit": commit or git_commit(root),
        "python": platform.python_version(),
        "system": platform.system(),
        **versions,
    }


def git_commit(root: Path) -> str:
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
