"""Networks on disk: a folder with `network.json` and `weights.safetensors` that describes itself. No pickle.

`network.json` names the architecture and its arguments, for each factorised layer its kind, scheme and rank, and for
each module that was narrowed its widths. With a constructor of the dense network that is enough to rebuild it in
another process. The weights of a quantised network are one tensor, `packed`; see `quantization.stored_state`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from torch_lowrank.checks import PREPARED, check_network
from torch_lowrank.layers.factorized import LowRank, full_rank, replace_layers
from torch_lowrank.modes import undisturbed
from torch_lowrank.narrowing import NarrowingError, describe_widths, narrowed_as_described
from torch_lowrank.quantization.coding import CodingError, codings
from torch_lowrank.quantization.stored_state import attach, describe_codings, read_state, unusual_dtypes, write_state
from torch_lowrank.whole_files import whole_folder

DESCRIPTION, WEIGHTS = "network.json", "weights.safetensors"
_FORMAT, _PACKED_FORMAT = 1, 2  # the second since there are quantised networks, which older versions cannot read
_PACKED = "packed"  # name of the tensor
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "architecture": str,
    "arguments": (dict, type(None)),
    "factorized": list,
    "about": dict,
    "weights_sha256": str,
}
_PACKED_FIELDS = {**_FIELDS, "quantized": list, "dtypes": dict}


class StorageError(ValueError):
    """A folder holds no network that can be read, or a network cannot be written to it."""


def save_network(network: nn.Module, folder: str | Path, about: dict[str, Any] | None = None) -> None:
    """Writes a network, dense or compressed, to a folder; whole or not at all.

    Args:
        network: The network.
        folder: Where to; made if missing, replaced if a network was saved there before.
        about: JSON-like data to keep with it, for example how its input is normalised.

    Raises:
        StorageError: If the folder holds something else, the network's state is more than tensors, it was prepared by
            `for_inference`, or its weights were changed after they were quantised.
        TypeError: If the network is no module, or a `ScriptModule`.
        ValueError: If it has lazy layers.
    """
    check_network(network)
    if any(getattr(module, PREPARED, False) for module in network.modules()):
        raise StorageError(
            "the network was prepared by for_inference, and could not be loaded again; save the one that it was made "
            "of, and prepare what load_network returns"
        )
    folder = Path(folder)
    if folder.exists() and not _may_be_replaced(folder):
        raise StorageError(f"{folder} is there and holds no saved network; give a new or an empty folder")
    content = weights(network)
    description = {**describe(network), "about": about or {}, "weights_sha256": hashlib.sha256(content).hexdigest()}
    with whole_folder(folder) as new:
        (new / WEIGHTS).write_bytes(content)
        (new / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


@undisturbed()
def load_network(folder: str | Path, constructor: Callable[..., nn.Module]) -> nn.Module:
    """Rebuilds a network that `save_network` wrote, on the CPU, in evaluation mode.

    Args:
        folder: The folder.
        constructor: Makes the dense network that the saved one was compressed from; its weights do not matter. Where
            `network.json` holds constructor arguments and the constructor takes them, it is called with them.

    Raises:
        StorageError: If a file is missing, damaged or does not fit the network, or the constructor fails.
    """
    folder = Path(folder)
    description = read_description(folder)
    tensors = _read_tensors(folder, description)
    network = _check(_construct(constructor, description, folder), description, folder).cpu()
    try:
        network = narrowed_as_described(network, description.get("narrowed", []))
    except NarrowingError as error:
        raise StorageError(f"{folder / DESCRIPTION} does not fit the constructor's network: {error}") from error
    network = replace_layers(network, _empty_layers(network, description["factorized"], folder))
    try:
        if description["format"] == _PACKED_FORMAT:
            tensors = _unpacked(network, tensors, description)
        _take_dtypes(network, tensors)
        network.load_state_dict(tensors)
    except (RuntimeError, CodingError) as error:
        raise StorageError(f"{folder / WEIGHTS} does not fit the network of {DESCRIPTION}: {error}") from error
    return network.eval()


def read_description(folder: str | Path) -> dict[str, Any]:
    """Returns the content of `network.json`.

    Raises:
        StorageError: If it is missing, damaged, or of another format.
    """
    file = Path(folder) / DESCRIPTION
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StorageError(f"{file} is missing; {folder} is no folder of a saved network") from error
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{file} is damaged: {error}; save the network again") from error
    if not isinstance(description, dict):
        raise StorageError(f"{file} is damaged: it holds a {type(description).__name__}, not an object")
    version = description.get("format")
    if version not in (_FORMAT, _PACKED_FORMAT):
        raise StorageError(f"{file} has format {version!r}, this version reads formats {_FORMAT} and {_PACKED_FORMAT}")
    for field, kind in (_FIELDS if version == _FORMAT else _PACKED_FIELDS).items():
        if field not in description or not isinstance(description[field], kind):
            raise StorageError(f"{file} is damaged: {field} is {description.get(field)!r}; save the network again")
    return description


def describe(network: nn.Module) -> dict[str, Any]:
    """Returns architecture, constructor arguments, and what was done to layers and tensors as JSON-like data."""
    network = _unwrapped(network)
    coded, narrowed = codings(network), describe_widths(network)
    packed = {"quantized": describe_codings(coded), "dtypes": unusual_dtypes(network.state_dict())} if coded else {}
    return {
        "format": _PACKED_FORMAT if coded else _FORMAT,
        "architecture": f"{type(network).__module__}.{type(network).__qualname__}",
        "arguments": _arguments(network),
        "factorized": [
            {"name": name, "kind": module.kind, "scheme": module.scheme, "rank": module.rank}
            for name, module in network.named_modules()
            if isinstance(module, LowRank)
        ],
        **({"narrowed": narrowed} if narrowed else {}),
        **packed,
    }


def network_digest(network: nn.Module) -> str:
    """Returns a digest of structure and weights, the same wherever the network and its class lie."""
    description = describe(network)
    description["architecture"] = _class_name(description)
    content = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    content.update(weights(network))
    return content.hexdigest()


def weights(network: nn.Module) -> bytes:
    """Returns the content of `weights.safetensors` for a network.

    Raises:
        StorageError: If the network's state holds something that is no tensor, or that was changed after it was
            quantised.
    """
    tensors, coded = _tensors(network), codings(_unwrapped(network))
    try:
        return save_tensors({_PACKED: write_state(tensors, coded)} if coded else tensors)
    except CodingError as error:
        raise StorageError(str(error)) from error


def _unwrapped(network: nn.Module) -> nn.Module:
    """Returns what `torch.compile` wrapped, or the network itself."""
    inner = getattr(network, "_orig_mod", network)
    return inner if isinstance(inner, nn.Module) else network


def _may_be_replaced(folder: Path) -> bool:
    names = {file.name for file in folder.iterdir()} if folder.is_dir() else {str(folder)}
    return not names or DESCRIPTION in names


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """Returns the state dict on the CPU; tensors that share memory are written twice, as safetensors wants it."""
    state = _unwrapped(network).state_dict()
    others = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise StorageError(f"the network's state has {others[0]!r}, which is no tensor; safetensors cannot hold it")
    return {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}


def _arguments(network: nn.Module) -> dict[str, Any] | None:
    """Returns the constructor arguments that a network has as `arguments`, None where JSON cannot hold them."""
    arguments = getattr(network, "arguments", None)
    try:
        return json.loads(json.dumps(arguments)) if isinstance(arguments, dict) else None
    except (TypeError, ValueError):
        return None


def _construct(constructor: Callable[..., nn.Module], description: dict[str, Any], folder: Path) -> nn.Module:
    arguments = description["arguments"]
    if arguments is None or not _takes(constructor, arguments):
        arguments = {}
    try:
        with torch.device("cpu"):  # whatever the default is
            return constructor(**arguments)
    except (TypeError, ValueError, RuntimeError, OverflowError, ZeroDivisionError) as error:
        raise StorageError(
            f"{folder / DESCRIPTION}: the constructor makes no network of the arguments {arguments}: {error}; "
            "pass a function without arguments that makes the network, as in load_network(folder, lambda: Net(3))"
        ) from error


def _takes(constructor: Callable[..., nn.Module], arguments: dict[str, Any]) -> bool:
    try:
        inspect.signature(constructor).bind(**arguments)
    except (TypeError, ValueError):
        return False
    return True


def _class_name(description: dict[str, Any]) -> str:
    """Returns the class's own name, without the modules it lies in: they may move."""
    return description["architecture"].rpartition(".")[2]


def _check(network: nn.Module, description: dict[str, Any], folder: Path) -> nn.Module:
    """Checks that a constructor makes what was saved. Modules may have moved, so only the class's own name counts."""
    if not isinstance(network, nn.Module):
        raise StorageError(f"the constructor given for {folder} returned a {type(network).__name__}, not a network")
    network = _unwrapped(network)
    wanted, made = _class_name(description), type(network).__name__
    if wanted != made:
        raise StorageError(f"{folder} holds a {wanted}, the constructor makes a {made}; pass that of a {wanted}")
    return network


def _empty_layers(network: nn.Module, factorized: list[Any], folder: Path) -> dict[nn.Module, nn.Module]:
    """Returns the thin layers in the place of those that were factorised, with weights not set."""
    layers: dict[nn.Module, nn.Module] = {}
    for entry in factorized:
        try:
            layer, scheme, rank = network.get_submodule(entry["name"]), entry["scheme"], entry["rank"]
            largest = full_rank(layer, scheme)
            if type(layer).__name__ != entry["kind"] or type(rank) is not int or not 1 <= rank <= largest:
                raise ValueError(f"the network has a {type(layer).__name__} there, with ranks from 1 to {largest}")
            layers[layer] = LowRank(layer, scheme, rank)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StorageError(
                f"{folder / DESCRIPTION}: factorised layer {entry!r} does not fit the network: {error}"
            ) from error
    return layers


def _read_tensors(folder: Path, description: dict[str, Any]) -> dict[str, Tensor]:
    file = folder / WEIGHTS
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise StorageError(f"{file} is missing") from error
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != description["weights_sha256"]:
        raise StorageError(f"{file} is damaged: its content does not have the digest that {DESCRIPTION} names")
    try:
        return load_tensors(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise StorageError(f"{file} is no safetensors file: {error}") from error


def _unpacked(network: nn.Module, tensors: dict[str, Tensor], description: dict[str, Any]) -> dict[str, Tensor]:
    """Returns the tensors of a quantised network, whose modules then remember how they are stored.

    Raises:
        CodingError: The file and its description do not fit the network.
    """
    packed = tensors.get(_PACKED)
    if len(tensors) != 1 or packed is None or packed.dtype != torch.uint8 or packed.ndim != 1:
        raise CodingError(f"it holds {sorted(tensors)[:3]}, not one tensor {_PACKED!r} of bytes")
    entries, dtypes = description["quantized"], description["dtypes"]
    found, coded = read_state(packed.numpy().tobytes(), network.state_dict(), entries, dtypes)
    attach(network, coded)
    return found


def _take_dtypes(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Converts every tensor to the dtype it was saved in; in place, so that tied parameters stay tied."""
    own: dict[str, Tensor] = dict(network.named_parameters(remove_duplicate=False))
    own.update(network.named_buffers(remove_duplicate=False))
    for name, stored in tensors.items():
        if name in own and own[name].dtype != stored.dtype:
            own[name].data = own[name].data.to(stored.dtype)
