"""Loads networks that were trained elsewhere, from a file with their state dict."""

from __future__ import annotations

import hashlib
import pickle
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import NamedTuple, TypeVar, cast, overload

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint

from models.checkpoint_file import CheckpointError, check_checkpoint_file, damaged, unreadable
from models.unet import UNet

_FIRST = "inc.double_conv.0.weight"
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_COUNTER = "num_batches_tracked"  # which files written by torch before 0.4.1 lack
_DEPTH = 4  # of dictionaries within one another
_SHOWN = 5  # keys and names in a message


Network = TypeVar("Network", bound=nn.Module)


@overload
def load_checkpoint(file: str | Path, network: None = None) -> UNet: ...
@overload
def load_checkpoint(file: str | Path, network: Network) -> Network: ...
def load_checkpoint(file: str | Path, network: nn.Module | None = None) -> nn.Module:
    """Loads a state dict into a network, and returns it in evaluation mode.

    The state dict may lie within others, as training scripts and Lightning save it (`state_dict`, `model_state_dict`,
    `model`), and its names may have anything in front (`module.`, `model.`, `net.`, `_orig_mod.`, one after another).

    Args:
        file: `.safetensors`, or `.pth`, `.pt` or `.ckpt`, read with `weights_only=True`, so that no code in them can
            run.
        network: The network that the state dict is of. None is a U-Net with the keys of the widely copied PyTorch
            U-Net, whose arguments follow from the keys and shapes.

    Raises:
        CheckpointError: The file is missing, damaged, of another architecture, or holds several such networks or none;
            or a weight is not finite.
    """
    file = Path(file)
    content = _read(file)
    if network is None:
        network = _unet(_unwrapped(content, {_FIRST}, file), content, file)
    else:
        _load(network, _unwrapped(content, {*_tensors_of(network)}, file), content, file)
    broken = [name for name, tensor in _tensors_of(network).items() if not tensor.isfinite().all()]
    if broken:
        raise CheckpointError(f"{file}: {broken[0]} is not finite ({len(broken)} such tensors); use another checkpoint")
    return network.eval()


def misfit(network: nn.Module, given: Mapping[str, tuple[int, ...]]) -> str:
    """Returns what of a state dict does not fit a network, by names and shapes; nothing where all of it does.

    Args:
        network: The network.
        given: Name to shape of the state dict's tensors.
    """
    wanted = {name: tuple(value.shape) for name, value in _tensors_of(network).items()}
    missing = [name for name in wanted if name not in given and not name.endswith(_COUNTER)]
    unexpected = [name for name in given if name not in wanted]
    differing = [name for name, shape in wanted.items() if given.get(name, shape) != shape]
    said = [
        _listed("missing", [f"{name} {wanted[name]}" for name in missing]),
        _listed("unexpected", [f"{name} {given[name]}" for name in unexpected]),
        _listed("of another shape", [f"{name} {given[name]} instead of {wanted[name]}" for name in differing]),
    ]
    return "; ".join(filter(None, said))


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


def _unet(state: Mapping[str, object], content: Mapping[object, object], file: Path) -> UNet:
    try:
        return UNet.from_state_dict(state)
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(f"{file}: {error}; the file holds {_summary(content)}") from error


def _load(network: nn.Module, state: Mapping[str, object], content: Mapping[object, object], file: Path) -> None:
    """Loads a state dict whose names and shapes are those of the network."""
    given = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if said := misfit(network, {name: tuple(value.shape) for name, value in given.items()}):
        raise CheckpointError(
            f"{file} does not fit the network ({type(network).__name__}): {said}; the file holds {_summary(content)}. "
            "Give the --network and --network_args that it was trained with"
        )
    network.load_state_dict({**network.state_dict(), **given})


def _tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Returns the state of a network without what is no tensor, as modules may add by `get_extra_state`."""
    return {name: value for name, value in network.state_dict().items() if isinstance(value, Tensor)}


def _listed(title: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{title}: {', '.join(names[:_SHOWN])}{more}" if names else ""


def _unwrapped(content: Mapping[object, object], wanted: Set[str], file: Path) -> Mapping[str, object]:
    """Returns the one state dict within `content` that has the wanted names, whatever stands in front of them.

    What lies beside the network, as a loss with weights, is left out where the network's names have a prefix. Where
    most of the names are nowhere, returns the largest state dict as it is.

    Raises:
        CheckpointError: There are several.
    """
    # A network may have parts of its own that are called as wrappers are: names count as they stand, if more fit so.
    found: dict[str, _Found] = max((_found(content, wanted, plain) for plain in (_plain, str)), key=_most)
    best = {where: each.state for where, each in found.items() if each.names == _most(found)}
    counted = [name for name in wanted if not name.endswith(_COUNTER)]
    if _most(found) < len(counted) and (len(best) != 1 or 2 * _most(found) < len(counted)):
        largest = max(_mappings(content), key=lambda part: _tensors(part[1]))[1]
        return {str(name): value for name, value in largest.items()}
    if len(best) > 1:
        raise CheckpointError(
            f"{file} holds several networks ({', '.join(sorted(best))}): save the one that is meant with "
            "torch.save(network.state_dict(), file)"
        )
    return next(iter(best.values()))


class _Found(NamedTuple):
    """A state dict without what stood in front of its names, and how many of the wanted names it has."""

    state: dict[str, object]
    names: int


def _most(found: Mapping[str, _Found]) -> int:
    return max((each.names for each in found.values()), default=0)


def _found(content: Mapping[object, object], wanted: Set[str], plain: Callable[[str], str]) -> dict[str, _Found]:
    """Returns all state dicts with wanted names: the keys that lead to them and the prefix, to what is there."""
    own = {plain(name): name for name in wanted}
    found: dict[str, _Found] = {}
    for place, part in _mappings(content):
        named = {name: value for name, value in part.items() if isinstance(name, str)}
        for prefix, number in Counter(prefix for name in named for prefix in _prefixes(name, own, plain)).items():
            where = "/".join(filter(None, [place, prefix.removesuffix(".")])) or "the outermost"
            rest = {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
            state = {own.get(plain(name), plain(name)): value for name, value in rest.items()}
            found[where] = _Found(state, number)
    return found


def _prefixes(name: str, wanted: Collection[str], plain: Callable[[str], str]) -> Iterator[str]:
    """Yields what stands in front of wanted names at the end of a name; wrappers that are taken off belong to it."""
    parts = name.split(".")
    for number in range(len(parts)):
        if plain(parts[number]) and plain(".".join(parts[number:])) in wanted:
            yield "".join(f"{part}." for part in parts[:number])


def _tensors(part: Mapping[object, object]) -> int:
    return sum(isinstance(value, Tensor) for value in part.values())


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
