"""The files of a saved network, looked at without torch, which takes seconds to import."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

DESCRIPTION, WEIGHTS = "network.json", "weights.safetensors"  # those of torch_lowrank.io, which needs torch


class NetworkFilesError(ValueError):
    """A folder does not hold a saved network."""


def check_network_files(folder: str | Path) -> None:
    """Checks that a folder holds the two files of a saved network, and that both begin as they must.

    Raises:
        NetworkFilesError: It does not; the message names folders of networks that lie below it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NetworkFilesError(
            f"{folder} is no folder; give that of a network, as artifacts/networks/baseline, or a name in MLflow, as "
            "models:/NAME@ALIAS"
        )
    if not (folder / DESCRIPTION).is_file():
        below = sorted(str(file.parent) for file in folder.glob(f"**/{DESCRIPTION}"))[:3]
        instead = f"; give one of those below it, as {', '.join(below)}" if below else ""
        raise NetworkFilesError(f"{folder} holds no network: {DESCRIPTION} is missing{instead}")
    try:
        json.loads((folder / DESCRIPTION).read_bytes())
        with safe_open(folder / WEIGHTS, framework="numpy"):
            pass
    except FileNotFoundError as error:
        raise NetworkFilesError(f"{folder} holds no whole network: {WEIGHTS} is missing; copy it again") from error
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise NetworkFilesError(f"the network in {folder} is damaged ({error}); copy or save it again") from error


def network_files_digest(folder: str | Path) -> str:
    """Returns a digest of a saved network's files, the same wherever they lie.

    Raises:
        NetworkFilesError: One cannot be read.
    """
    total = hashlib.sha256()
    try:
        for name in (DESCRIPTION, WEIGHTS):
            with Path(folder, name).open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise NetworkFilesError(f"{Path(folder, name)} cannot be read: {error.strerror}") from error
    return total.hexdigest()
