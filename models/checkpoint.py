"""Loads U-Nets that were trained elsewhere, from a file with their state dict."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from models.unet import UNet


class CheckpointError(ValueError):
    """A file is missing, or does not hold a U-Net that can be loaded."""


def load_checkpoint(file: str | Path) -> UNet:
    """Loads a U-Net, in evaluation mode, from a state dict with the keys of the widely copied PyTorch U-Net.

    Args:
        file: `.safetensors`, or `.pth` or `.pt`, read with `weights_only=True`, so that no code in them can run.

    Raises:
        CheckpointError: The file is missing, damaged, not a state dict or of another architecture, or a weight is not
            finite.
    """
    file = Path(file)
    state = _read(file)
    try:
        network = UNet.from_state_dict(state)
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(f"{file}: {error}") from error
    broken = [name for name, tensor in network.state_dict().items() if not tensor.isfinite().all()]
    if broken:
        raise CheckpointError(f"{file}: {broken[0]} is not finite ({len(broken)} such tensors); use another checkpoint")
    return network.eval()


def checkpoint_digest(file: str | Path) -> str:
    """Returns the SHA-256 digest of a file, in hexadecimal.

    Raises:
        CheckpointError: The file cannot be read.
    """
    try:
        with Path(file).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}; check --checkpoint") from error


def _read(file: Path) -> Mapping[str, object]:
    if not file.is_file():
        raise CheckpointError(f"{file} is no file; check --checkpoint")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's message advises to load it without `weights_only`
        message = "is damaged, or holds more than a state dict: save it with torch.save(network.state_dict(), file)"
        raise CheckpointError(f"{file} {message}") from error
    except (SafetensorError, RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(f"{file} is damaged, or no such file as its name says: {error}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{file} is no state dict: save it with torch.save(network.state_dict(), file)")
    return state
