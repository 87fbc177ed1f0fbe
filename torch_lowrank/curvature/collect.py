"""Collects the second moments of a network's layers from a few batches of inputs.

Labels are drawn from the network's own prediction, so that the gradients' moments are those of the Fisher information;
no true label is needed, and nothing is trained.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from torch_lowrank.batches import Call, Inputs, call_of, number_of
from torch_lowrank.checks import check_network
from torch_lowrank.curvature.moments import Moments, Statistics
from torch_lowrank.curvature.sums import Sums
from torch_lowrank.layers.eligibility import survey
from torch_lowrank.layers.unfolding import folding_of
from torch_lowrank.modes import Device, device_of, evaluation_mode, exact_device, layers_called, undisturbed
from torch_lowrank.progress import tracked

MEMORY_LIMIT = 2**31  # bytes


@undisturbed()
def collect_statistics(
    network: nn.Module,
    batches: Iterable[Any],
    *,
    inputs: Inputs = None,
    weighting: str = "curvature",
    memory_limit: int = MEMORY_LIMIT,
    seed: int = 0,
    device: Device = None,
) -> Statistics:
    """Returns the second moments of all layers that can be factorised.

    The network runs in evaluation mode, once for every pass over the batches; where the sums of all layers would take
    more than the memory limit, layers are grouped into several passes.

    Args:
        network: Any network; its weights and modes are left as they were. For curvature it returns logits,
            (N, classes, ...); with one class, of foreground against background.
        batches: A list, a DataLoader or another iterable of batches, see `batches.call_of`; read again for each pass.
            An iterator, which can be read only once, is kept in memory.
        inputs: What of a batch the network takes; None is the usual, see `batches.call_of`.
        weighting: `curvature`; or `activation`, which needs no gradients.
        memory_limit: Bytes that the sums of one pass may take. Beside them lie one batch's activations, and the
            patches and the product of one layer.
        seed: Decides the labels that are drawn.
        device: Where to compute; None is where the network lies. CUDA is used, for all other devices the CPU. The
            moments are returned on the CPU.

    Raises:
        TypeError: A tensor or a mapping was given in place of batches, or no network.
        ValueError: There are no batches, a batch has no input or no batch axis, or the network cannot take it; the
            weighting is unknown; a layer by itself takes more than the limit; or, where gradients are needed, the
            network returns no logits, or its forward pass records no graph.
        FloatingPointError: A layer's inputs or gradients are not finite.
    """
    check_network(network)
    if weighting not in ("activation", "curvature"):
        raise ValueError(f"weighting is {weighting!r}; statistics are taken for activation or curvature")
    batches, number = number_of(batches)
    layers = survey(network).layers
    moments: dict[str, Moments] = {}
    seen, reached = 0, False
    passes = _passes(layers, memory_limit, weighting)
    lies = device_of(network)
    place = exact_device(lies, device)
    moved_to = None if place == lies else place  # a network on several devices stays there
    with evaluation_mode(network, moved_to), _frozen(network), layers_called():
        for turn, names in enumerate(passes, start=1):
            sums = {name: Sums(layers[name], weighting, number) for name in names}
            calls = (call_of(batch, inputs) for batch in tracked(batches, f"statistics {turn}/{len(passes)}", number))
            seen = _run_all(network, calls, torch.Generator(place).manual_seed(seed), weighting, sums)
            reached |= any(each.rows is not None for each in sums.values())
            # a layer's sums are freed when they are done
            moments |= {name: sums.pop(name).finish(name) for name in names if sums[name].vectors}
    if moments and weighting == "curvature" and not reached:
        raise ValueError(
            "no gradient reached any layer: the network's output has no graph (it was detached, or made by argmax), or "
            "does not depend on the layers; return the logits themselves, or use weighting='activation'"
        )
    return Statistics(moments, weighting, seen)


def _run_all(
    network: nn.Module, calls: Iterable[Call], generator: torch.Generator, weighting: str, sums: dict[str, Sums]
) -> int:
    """Adds up one pass over the batches; returns the number of images.

    Raises:
        ValueError: If there are none, though there were some before.
    """
    seen = 0
    with _watched(sums):
        for call in calls:
            seen += call.samples
            _run(network, call, generator, weighting, sums)
    if not seen:
        raise ValueError("the batches can be read only once; give a list, or a loader that starts again each time")
    return seen


def _passes(layers: dict[str, nn.Module], limit: int, weighting: str) -> list[list[str]]:
    """Groups the layers, in order, so that the sums of a group stay within the limit."""
    passes: list[list[str]] = []
    used = limit + 1
    for name, layer in layers.items():
        groups, rows, columns = folding_of(layer, "channel").shape(layer)
        size = groups * (columns**2 + (rows**2 if weighting == "curvature" else 0)) * torch.float64.itemsize
        if size > limit:
            raise ValueError(
                f"the moments of layer {name!r} take {size:,} bytes, more than the limit of {limit:,}; raise "
                "memory_limit, or compress without statistics"
            )
        if used + size > limit:
            passes.append([])
            used = 0
        passes[-1].append(name)
        used += size
    return passes


def _run(network: nn.Module, call: Call, generator: torch.Generator, weighting: str, sums: dict[str, Sums]) -> None:
    with torch.set_grad_enabled(weighting == "curvature"):
        logits = call.apply(network, generator.device)
    for name, each in sums.items():
        each.check(name, call)
        each.listening = False
    if weighting == "curvature":
        _propagate(logits, generator, sums)
    for each in sums.values():
        each.images += call.samples
        each.turn += 1
        each.listening = True


def _propagate(logits: Any, generator: torch.Generator, sums: dict[str, Sums]) -> None:
    """Propagates the gradient of the cross entropy, its mean over an image's positions, for labels that are drawn."""
    if not isinstance(logits, Tensor) or logits.ndim < 2:
        raise ValueError(
            f"the network returns a {type(logits).__name__}; curvature needs logits of shape (N, classes, ...): "
            "wrap it in a module that returns them, or use weighting='activation'"
        )
    if logits.requires_grad:
        _check_finite(logits, sums)  # else no label can be drawn
        scale = (logits[0, 0].numel() or 1) ** -0.5
        logits.backward(_drawn_residual(logits.detach(), generator) * scale)


def _check_finite(logits: Tensor, sums: dict[str, Sums]) -> None:
    if bool(logits.isfinite().all()):
        return
    broken = (name for name, each in sums.items() if each.columns is not None and not each.columns.isfinite().all())
    name = next(broken, None)
    what = "the network's output is" if name is None else f"the inputs of layer {name!r} are"
    raise FloatingPointError(f"{what} not finite; the network has diverged or overflowed")


def _drawn_residual(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Returns prediction minus a label drawn from it: the gradient of the cross entropy by the logits."""
    exact = logits.double()
    if logits.shape[1] == 1:
        prediction = exact.sigmoid()
        return (prediction - torch.bernoulli(prediction, generator=generator)).to(logits.dtype)
    prediction = exact.softmax(1)
    table = prediction.movedim(1, -1).flatten(0, -2)
    labels = torch.multinomial(table, 1, generator=generator)
    drawn = torch.zeros_like(table).scatter_(1, labels, 1.0)
    residual = (table - drawn).unflatten(0, (logits.shape[0], *logits.shape[2:])).movedim(-1, 1)
    return residual.to(logits.dtype)


@contextlib.contextmanager
def _watched(sums: dict[str, Sums]) -> Iterator[None]:
    """Adds inputs and gradients of the layers to their sums while the block runs."""

    def watch(each: Sums) -> object:
        def seen(layer: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor | None:
            values = args[0] if args else kwargs["input"]
            shape = values.shape  # so that the values need not be kept until the gradient comes
            if each.listening:
                each.add_inputs(values)
            if not torch.is_grad_enabled():
                each.unrecorded |= each.weighting == "curvature"
                return None
            # Parameters are frozen, so the graph begins here. The next module may write into its input: hence the copy.
            output = output if output.requires_grad else output.detach().requires_grad_().clone()
            if each.listening:
                output.register_hook(lambda gradient: each.add_gradient(gradient, shape))
            return output

        return seen

    handles = [each.layer.register_forward_hook(watch(each), with_kwargs=True) for each in sums.values()]  # type: ignore[arg-type]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Switches off the gradients of all parameters: only those of the layers' outputs are needed."""
    before = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in before:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in before:
            parameter.requires_grad_(True)
