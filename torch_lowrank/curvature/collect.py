"""Collects the second moments of a network's layers from a few batches of inputs.

Labels are drawn from the network's own prediction, so that the gradients' moments are those of the Fisher information;
no true label is needed, and nothing is trained.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torch_lowrank.batches import Call, Inputs, call_of, number_of
from torch_lowrank.curvature.moments import Moments, Statistics
from torch_lowrank.curvature.patches import input_vectors, output_vectors, positions
from torch_lowrank.layers.eligibility import survey
from torch_lowrank.layers.factorized import folding_of
from torch_lowrank.modes import Device, device_of, evaluation_mode, exact_device, layers_called
from torch_lowrank.progress import tracked

MEMORY_LIMIT = 2**31  # bytes
# Neighbouring pixels are nearly alike, and a moment needs few more vectors than it has rows: where there are more
# positions than this in all, a regular grid of them is taken.
_POSITIONS = 2**15
_PER_ROW = 4


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
        TypeError: A tensor was given in place of batches.
        ValueError: There are no batches, or a batch has no input; the weighting is unknown; a layer by itself takes
            more than the limit; or the network returns no logits, where they are needed.
        FloatingPointError: A layer's inputs or gradients are not finite.
    """
    if weighting not in ("activation", "curvature"):
        raise ValueError(f"weighting is {weighting!r}; statistics are taken for activation or curvature")
    batches, number = number_of(batches)
    layers = survey(network).layers
    moments: dict[str, Moments] = {}
    seen = 0
    passes = _passes(layers, memory_limit, weighting)
    lies = device_of(network)
    place = exact_device(lies, device)
    moved_to = None if place == lies else place  # a network on several devices stays there
    with torch.inference_mode(False), evaluation_mode(network, moved_to), _frozen(network), layers_called():
        for turn, names in enumerate(passes, start=1):
            sums = {name: _Sums(layers[name], weighting, number) for name in names}
            calls = (call_of(batch, inputs) for batch in tracked(batches, f"statistics {turn}/{len(passes)}", number))
            seen = _run_all(network, calls, torch.Generator(place).manual_seed(seed), weighting, sums)
            # a layer's sums are freed when they are done
            moments |= {name: sums.pop(name).finish(name) for name in names if sums[name].vectors}
    return Statistics(moments, weighting, seen)


def _run_all(
    network: nn.Module, calls: Iterable[Call], generator: torch.Generator, weighting: str, sums: dict[str, _Sums]
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


@dataclasses.dataclass
class _Sums:
    """The sums of one layer."""

    layer: nn.Module
    weighting: str
    batches: int
    columns: Tensor | None = None
    rows: Tensor | None = None
    vectors: int = 0
    images: int = 0
    turn: int = 0

    def add_inputs(self, values: Tensor) -> None:
        """Adds a batch's inputs."""
        vectors = input_vectors(self.layer, values.detach(), self._wanted(), self.turn)
        self.columns = _added(self.columns, vectors, 1)
        self.vectors += vectors.shape[2]

    def add_gradient(self, gradient: Tensor, input_shape: torch.Size) -> None:
        """Adds a batch's gradients, scaled up where only a part of the positions is taken."""
        dims = folding_of(self.layer, "channel").dims
        sizes = input_shape[len(input_shape) - dims :]
        vectors = output_vectors(self.layer, gradient, sizes, self._wanted(), self.turn)
        everywhere = gradient[..., 0].numel() if dims == 0 else self._positions(gradient, sizes)
        self.rows = _added(self.rows, vectors, everywhere / vectors.shape[2])

    def finish(self, name: str) -> Moments:
        """Returns the means: over positions for inputs, over images for gradients."""
        groups, height, width = folding_of(self.layer, "channel").matrix(self.layer).shape
        columns = _mean(self.columns, self.vectors, (groups, width, width), name)
        if self.weighting == "activation":
            return Moments(columns, None)
        return Moments(columns, _mean(self.rows, self.images, (groups, height, height), name))

    def _positions(self, gradient: Tensor, input_sizes: Sequence[int]) -> int:
        dims = len(input_sizes)
        batch = gradient.shape[0] if gradient.ndim == dims + 2 else 1
        return batch * positions(self.layer, input_sizes, gradient.shape[-dims:])

    def _wanted(self) -> int:
        largest = max(folding_of(self.layer, "channel").matrix(self.layer).shape[1:])
        return -(-max(_POSITIONS, _PER_ROW * largest) // self.batches)


def _added(total: Tensor | None, vectors: Tensor, scale: float) -> Tensor:
    product = (vectors @ vectors.mT).double()
    return product.mul_(scale) if total is None else total.add_(product, alpha=scale)


def _mean(total: Tensor | None, number: int, shape: tuple[int, ...], name: str) -> Tensor:
    """Returns total / number, float32, on the CPU; zeros where the loss does not depend on the layer."""
    mean = torch.zeros(shape) if total is None else (total / number).float().cpu()
    if not bool(mean.isfinite().all()):
        raise FloatingPointError(
            f"the inputs or gradients of layer {name!r} are not finite; the network has diverged or overflowed"
        )
    return mean


def _passes(layers: dict[str, nn.Module], limit: int, weighting: str) -> list[list[str]]:
    """Groups the layers, in order, so that the sums of a group stay within the limit."""
    passes: list[list[str]] = []
    used = limit + 1
    for name, layer in layers.items():
        groups, rows, columns = folding_of(layer, "channel").matrix(layer).shape
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


def _run(network: nn.Module, call: Call, generator: torch.Generator, weighting: str, sums: dict[str, _Sums]) -> None:
    with torch.set_grad_enabled(weighting == "curvature"):
        logits = call.apply(network, generator.device)
    if weighting == "curvature":
        _propagate(logits, generator, sums)
    for each in sums.values():
        each.images += call.samples
        each.turn += 1


def _propagate(logits: Any, generator: torch.Generator, sums: dict[str, _Sums]) -> None:
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


def _check_finite(logits: Tensor, sums: dict[str, _Sums]) -> None:
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
def _watched(sums: dict[str, _Sums]) -> Iterator[None]:
    """Adds inputs and gradients of the layers to their sums while the block runs."""

    def watch(each: _Sums) -> object:
        def seen(layer: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor | None:
            values = args[0] if args else kwargs["input"]
            shape = values.shape  # so that the values need not be kept until the gradient comes
            each.add_inputs(values)
            if not torch.is_grad_enabled():
                return None
            # Parameters are frozen, so the graph begins here. The next module may write into its input: hence the copy.
            output = output if output.requires_grad else output.detach().requires_grad_().clone()
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
