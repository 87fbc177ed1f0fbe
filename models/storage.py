"""Networks on disk: a folder with `network.json` and `weights.safetensors` that describes itself. No pickle.

`network.json` names the architecture and its arguments, and which layers were factorised, by which scheme and rank.
That is enough to rebuild our U-Net in a fresh process; a foreign network is rebuilt from its constructor.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from models.lowrank import LowRank, folding_of, replace_layers
from models.unet import UNet

DESCRIPTION, WEIGHTS = "network.json", "weights.safetensors"
_FORMAT = 1


class StorageError(ValueError):
    """A folder holds no network that can be read."""


def save_network(network: nn.Module, folder: str | Path, about: dict[str, Any] | None = None) -> None:
    """Writes a network, dense or compressed, to a folder; whole or not at all.

    Args:
        network: The network.
        folder: Where to; made if missing, replaced if there.
        about: JSON-like data to keep with it, for example how its input is normalised.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    weights = save_tensors(_tensors(network))
    description = {**describe(network), "about": about or {}, "weights_sha256": hashlib.sha256(weights).hexdigest()}
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (temporary / WEIGHTS).write_bytes(weights)
        (temporary / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_network(folder: str | Path, constructor: Callable[[], nn.Module] | None = None) -> nn.Module:
    """Rebuilds a network that `save_network` wrote, on the CPU, in evaluation mode.

    Args:
        folder: The folder.
        constructor: Makes the dense network that a foreign network was compressed from; its weights do not matter.

    Raises:
        StorageError: If a file is missing, damaged or does not fit the network.
    """
    folder = Path(folder)
    description = read_description(folder)
    network = constructor() if constructor is not None else _construct(description, folder)
    network = replace_layers(network, _empty_layers(network, description["factorized"], folder))
    try:
        network.load_state_dict(load_tensors(_read_weights(folder, description)))
    except (SafetensorError, RuntimeError) as error:
        raise StorageError(f"{folder / WEIGHTS} does not fit the network of {DESCRIPTION}: {error}") from error
    return network.eval()


def read_description(folder: Path) -> dict[str, Any]:
    """Returns the content of `network.json`.

    Raises:
        StorageError: If it is missing, damaged, or of a later format.
    """
    file = folder / DESCRIPTION
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        version, keys = description["format"], {"architecture", "arguments", "factorized", "about", "weights_sha256"}
    except FileNotFoundError as error:
        raise StorageError(f"{file} is missing; {folder} is no folder of a saved network") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise StorageError(f"{file} is damaged: {error}") from error
    if version != _FORMAT or not keys <= description.keys():
        raise StorageError(f"{file} has format {version!r}, this version reads format {_FORMAT}")
    return description


def describe(network: nn.Module) -> dict[str, Any]:
    """Returns architecture, constructor arguments and factorised layers as JSON-like data."""
    known = type(network) is UNet
    return {
        "format": _FORMAT,
        "architecture": "UNet" if known else f"{type(network).__module__}.{type(network).__qualname__}",
        "arguments": network.arguments if known else None,
        "factorized": [
            {"name": name, "scheme": module.scheme, "rank": module.rank}
            for name, module in network.named_modules()
            if isinstance(module, LowRank)
        ],
    }


def network_digest(network: nn.Module) -> str:
    """Returns a digest of structure and weights, the same wherever the network lies."""
    content = hashlib.sha256(json.dumps(describe(network), sort_keys=True).encode())
    content.update(save_tensors(_tensors(network)))
    return content.hexdigest()


def _tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """Returns the state dict on the CPU; tensors that share memory are written twice, as safetensors wants it."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}


def _construct(description: dict[str, Any], folder: Path) -> nn.Module:
    if description["architecture"] != "UNet":
        raise StorageError(
            f"{folder} holds a {description['architecture']}; pass the constructor of the network it was made from"
        )
    try:
        return UNet(**description["arguments"])
    except (TypeError, ValueError) as error:
        raise StorageError(f"{folder / DESCRIPTION}: these are no arguments of a U-Net: {error}") from error


def _empty_layers(network: nn.Module, factorized: list[dict[str, Any]], folder: Path) -> dict[nn.Module, nn.Module]:
    try:
        layers = [(network.get_submodule(entry["name"]), entry) for entry in factorized]
        return {layer: folding_of(layer, entry["scheme"]).build(layer, entry["rank"]) for layer, entry in layers}
    except (AttributeError, KeyError, TypeError) as error:
        raise StorageError(f"{folder / DESCRIPTION}: a factorised layer does not fit the network: {error}") from error


def _read_weights(folder: Path, description: dict[str, Any]) -> bytes:
    file = folder / WEIGHTS
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise StorageError(f"{file} is missing") from error
    if hashlib.sha256(content).hexdigest() != description["weights_sha256"]:
        raise StorageError(f"{file} is damaged: its content does not have the digest that {DESCRIPTION} names")
    return content
