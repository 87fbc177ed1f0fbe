"""Reconstruction: fits a compressed network's layers, one after the other, to what the dense network's layers compute.

Truncation looks at each layer by itself, with the inputs that it has in the dense network. At small budgets the inputs
are others, and errors add up from layer to layer. Here each layer is fitted anew at its rank, with the inputs that the
layers before it leave to it (`decomposition.refit`), from the first layer to the last. No label is read; each fit is a
regression, and nothing is trained.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from torch_lowrank.batches import Call, Inputs, call_of, number_of
from torch_lowrank.checks import check_network
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.curvature.sums import wanted_positions
from torch_lowrank.decomposition.refit import Pairs
from torch_lowrank.layers.factorized import LowRank, replace_layers
from torch_lowrank.layers.unfolding import folding_of, has_folding
from torch_lowrank.modes import Device, device_of, evaluation_mode, exact_device, layers_called, undisturbed
from torch_lowrank.progress import tracked
from torch_lowrank.quantization.coding import codings
from torch_lowrank.recalibration import recalibrate


@undisturbed()
def reconstruct(
    network: nn.Module,
    compressed: nn.Module,
    batches: Iterable[Any],
    *,
    statistics: Statistics | None = None,
    inputs: Inputs = None,
    device: Device = None,
) -> nn.Module:
    """Returns the compressed network with its factorised layers fitted anew to the outputs of the dense ones.

    Schemes, ranks and the number of parameters stay what they are. BatchNorms are estimated from the same batches, as
    by `recalibrate`, since the layers are fitted to inputs that are normalised so. Both networks run once for every
    factorised layer, up to that layer; one that is called several times is fitted to its first call.

    Args:
        network: The dense network; its weights and modes are left as they were.
        compressed: What `compress` made of it; it is not changed.
        batches: As for `collect_statistics`, read once for every layer; the same images serve well.
        statistics: Of the dense network, for its gradients' moments; None counts all errors of an output alike.
        inputs: What of a batch the network takes; None is the usual, see `batches.call_of`.
        device: Where to compute; None is where the dense network lies. CUDA is used, for all other devices the CPU.

    Raises:
        TypeError: The batches or one of the networks are something else.
        ValueError: The compressed network was not made of this one, or its weights are rounded to few bits; there are
            no batches, or the network cannot take them.
        FloatingPointError: A layer's inputs are not finite.
    """
    for each in (network, compressed):
        check_network(each)
    if codings(compressed):
        raise ValueError("the weights of the compressed network are rounded already; reconstruct first, then quantise")
    batches, number = number_of(batches)
    lies = device_of(network)
    place = exact_device(lies, device)
    fitted = replace_layers(compressed, {})
    home = device_of(fitted)
    names = _factorised(network, fitted)
    moved = None if place == lies else place
    with evaluation_mode(network, moved), _normalising(fitted, place), layers_called(), torch.no_grad():
        calls = _Calls(batches, inputs, place)
        for name in tracked(_in_order(fitted, names, calls), "reconstruct"):
            layer = network.get_submodule(name)
            pairs = Pairs(layer, wanted_positions(layer, number))
            for turn, call in enumerate(calls):
                _add_pairs(pairs, _inputs_of(network, name, call, place), _inputs_of(fitted, name, call, place), turn)
            if pairs.number:
                _replace(fitted, name, _fitted(name, pairs, fitted.get_submodule(name), statistics))
    if home is not None:
        fitted.to(home)
    recalibrate(fitted, batches, inputs=inputs, device=device)
    return fitted


@dataclasses.dataclass(frozen=True)
class _Calls:
    """The batches as calls, each time anew."""

    batches: Iterable[Any]
    inputs: Inputs
    place: torch.device

    def __iter__(self) -> Iterator[Call]:
        return (call_of(batch, self.inputs) for batch in self.batches)


class _ReachedError(Exception):
    """A layer's inputs are known; the rest of the forward pass would be for nothing."""


def _factorised(network: nn.Module, compressed: nn.Module) -> list[str]:
    """Returns the names of the factorised layers.

    Raises:
        ValueError: The dense network has no such layer in one of their places.
    """
    dense = dict(network.named_modules())
    names = []
    for name, layer in compressed.named_modules():
        if not isinstance(layer, LowRank):
            continue
        other = dense.get(name)
        same = other is not None and has_folding(other, layer.scheme)
        if not same or folding_of(other, "channel").shape(other) != folding_of(layer, "channel").shape(layer):  # type: ignore[arg-type]
            raise ValueError(
                f"layer {name!r} of the compressed network is none of the dense network's; give the network that was "
                "compressed"
            )
        names.append(name)
    return names


def _in_order(network: nn.Module, names: list[str], calls: _Calls) -> list[str]:
    """Returns the layers in the order in which the first batch reaches them; without those that it does not reach."""
    order: dict[str, None] = {}
    with contextlib.ExitStack() as watched:
        for name in names:
            hook = network.get_submodule(name).register_forward_pre_hook(lambda *_, name=name: order.setdefault(name))
            watched.callback(hook.remove)
        next(iter(calls)).apply(network, calls.place)
    return list(order)


def _inputs_of(network: nn.Module, name: str, call: Call, place: torch.device) -> list[Tensor]:
    """Returns a layer's input in its first call, in a list; an empty list where it is not called."""
    found: list[Tensor] = []

    def seen(layer: nn.Module, args: tuple, kwargs: dict) -> None:
        found.append((args[0] if args else kwargs["input"]).detach())
        raise _ReachedError

    handle = network.get_submodule(name).register_forward_pre_hook(seen, with_kwargs=True)
    try:
        call.apply(network, place)
    except _ReachedError:
        pass
    finally:
        handle.remove()
    return found


def _add_pairs(pairs: Pairs, dense: list[Tensor], compressed: list[Tensor], turn: int) -> None:
    for before, now in zip(dense, compressed, strict=False):
        if before.shape == now.shape:  # a network that decides by values may take another way
            pairs.add(before, now, turn)


def _fitted(name: str, pairs: Pairs, layer: nn.Module, statistics: Statistics | None) -> LowRank:
    moments = None if statistics is None else statistics.of_layer(name, pairs.layer, statistics.weighting)
    try:
        return pairs.fitted(layer.scheme, layer.rank, None if moments is None else moments.rows)  # type: ignore[arg-type]
    except FloatingPointError as error:
        raise FloatingPointError(f"layer {name!r}: {error}") from error


def _replace(network: nn.Module, name: str, new: LowRank) -> None:
    """Copies the new layer's weights into the one in its place, which may be called by several names."""
    layer = network.get_submodule(name)
    for parameter, value in zip(layer.parameters(), new.parameters(), strict=True):
        parameter.data.copy_(value)


@contextlib.contextmanager
def _normalising(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Evaluation mode on a device, in which BatchNorms normalise by each batch, and forget it."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    with evaluation_mode(network, device):
        for norm in norms:
            norm.train()
            norm.momentum = 0.0
        try:
            yield
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
