"""Loads U-Nets that were trained elsewhere, from a file with their state dict."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from models.checkpoint_file import CheckpointError, check_checkpoint_file, damaged, unreadable
from models.unet import UNet

_FIRST = "inc.double_conv.0.weight"
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_DEPTH = 4  # of dictionaries within one another
_SHOWN = 5  # keys and names in a message


def load_checkpoint(file: str | Path) -> UNet:
    """Loads a U-Net, in evaluation mode, from a state dict with the keys of the widely copied PyTorch U-Net.

    The state dict may lie within others, as training scripts and Lightning save it (`state_dict`, `model_state_dict`,
    `model`), and its names may have anything in front (`module.`, `model.`, `net.`, `_orig_mod.`, one after another).

    Args:
        file: `.safetensors`, or `.pth`, `.pt` or `.ckpt`, read with `weights_only=True`, so that no code in them can
            run.

    Raises:
        CheckpointError: The file is missing, damaged, of another architecture, or holds several such networks or none;
            or a weight is not finite.
    """
    file = Path(file)
    content = _read(file)
    state = _unwrapped(content, file)
    try:
        network = UNet.from_state_dict(state)
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(f"{file}: {error}; the file holds {_summary(content)}") from error
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
        raise unreadable(Path(file), error) from error


def _read(file: Path) -> Mapping[object, object]:
    check_checkpoint_file(file)
    try:
        if file.suffix == ".safetensors":
            return cast("Mapping[object, object]", load_file(file))
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's message advises to load it without `weights_only`
        message = f"is damaged, or holds more than tensors{_foreign(file)}: save it with"
        raise CheckpointError(f"{file} {message} torch.save(network.state_dict(), file)") from error
    except (SafetensorError, RuntimeError, EOFError, OSError) as error:
        raise damaged(file, error) from error
    if not isinstance(content, Mapping):
        kind = type(content).__name__
        raise CheckpointError(
            f"{file} holds a {kind}, no state dict: save it with torch.save(network.state_dict(), file)"
        )
    return content


def _foreign(file: Path) -> str:
    """Names the classes that a pickle would import, without importing them."""
    try:
        names = sorted(get_unsafe_globals_in_checkpoint(file))
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError):
        return ""
    return f" ({', '.join(names[:_SHOWN])}{' ...' if len(names) > _SHOWN else ''})" if names else ""


def _unwrapped(content: Mapping[object, object], file: Path) -> Mapping[str, object]:
    """Returns the one state dict of a U-Net within `content`, its names without what stands in front of them.

    Raises:
        CheckpointError: There are several.
    """
    found: dict[str, dict[str, object]] = {}
    for place, part in _mappings(content):
        named = {name: value for name, value in part.items() if isinstance(name, str)}
        for prefix in {name[: name.rindex("inc.")] for name in named if f".{_plain(name)}".endswith(f".{_FIRST}")}:
            where = "/".join(filter(None, [place, prefix.removesuffix(".")]))
            found[where or "the outermost"] = {
                _plain(name.removeprefix(prefix)): value for name, value in named.items() if name.startswith(prefix)
            }
    if len(found) > 1:
        raise CheckpointError(
            f"{file} holds several networks ({', '.join(sorted(found))}): save the one that is meant with "
            "torch.save(network.state_dict(), file)"
        )
    return next(iter(found.values()), {str(name): value for name, value in content.items()})


def _mappings(content: Mapping[object, object], place: str = "", depth: int = 0) -> Iterator[tuple[str, Mapping]]:
    """Yields a mapping and those within it, each with the keys that lead to it."""
    yield place, content
    for key, value in content.items():
        if isinstance(value, Mapping) and depth < _DEPTH:
            yield from _mappings(value, f"{place}/{key}" if place else str(key), depth + 1)


def _plain(name: str) -> str:
    """Removes what wrappers of a module put into a parameter's name, wherever they were put around."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _summary(content: Mapping[object, object]) -> str:
    """Returns what a file holds: its first keys, and of the largest state dict the first names with their shapes."""
    keys = ", ".join(str(key) for key in [*content][:_SHOWN]) + (" ..." if len(content) > _SHOWN else "")
    parts = [
        (place, {key: value for key, value in part.items() if isinstance(value, Tensor)})
        for place, part in _mappings(content)
    ]
    place, tensors = max(parts, key=lambda part: len(part[1]))
    if not tensors:
        return f"{keys or 'nothing'}, and no tensor"
    shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in [*tensors.items()][:_SHOWN])
    more = f" and {len(tensors) - _SHOWN} more" if len(tensors) > _SHOWN else ""
    return f"{shapes}{more}" if not place else f"{keys}; in {place}: {shapes}{more}"
