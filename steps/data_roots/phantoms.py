"""Makes the built-in data where a step runs: a step on another machine does not see what the command line has made."""

from __future__ import annotations

from pathlib import Path

from dataset.phantoms.write_phantoms import PHANTOM_VERSION, write_phantoms
from steps.runtime import Runtime

PHANTOM_COUNTS = {"train": 600, "valid": 60, "test": 100}


def phantom_folder(folder: Path, seed: int) -> Path:
    """Returns the folder for the phantoms of a seed, below a folder of results."""
    return folder / "phantoms" / f"seed_{seed}_v{PHANTOM_VERSION}"


def make_phantoms(now: Runtime) -> None:
    """Writes the run's phantoms, if the run uses phantoms and they are missing."""
    if now.phantom_seed is not None:
        write_phantoms(Path(now.data_root), now.phantom_seed, PHANTOM_COUNTS)
