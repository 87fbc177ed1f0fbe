"""The sums over batches from which the second moments of one layer come."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torch_lowrank.batches import Call
from torch_lowrank.curvature.moments import Moments
from torch_lowrank.curvature.patches import input_vectors, output_vectors, positions
from torch_lowrank.layers.unfolding import folding_of

# Neighbouring pixels are nearly alike, and a moment needs few more vectors than it has rows: where there are more
# positions than this in all, a regular grid of them is taken.
_POSITIONS = 2**15
_PER_ROW = 4


@dataclasses.dataclass
class Sums:
    """The sums of one layer.

    Attributes:
        listening: Whether calls are counted; not while checkpointing computes a part of the network again.
        unrecorded: Whether a gradient was wanted in a call that records no graph.
        unbatched: Shape of an input without a batch axis, None where all had one.
    """

    layer: nn.Module
    weighting: str
    batches: int
    columns: Tensor | None = None
    rows: Tensor | None = None
    vectors: int = 0
    images: int = 0
    turn: int = 0
    listening: bool = True
    unrecorded: bool = False
    unbatched: torch.Size | None = None

    def add_inputs(self, values: Tensor) -> None:
        """Adds a batch's inputs."""
        dims = folding_of(self.layer, "channel").dims
        self.unbatched = values.shape if dims and values.ndim == dims + 1 else self.unbatched
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

    def check(self, name: str, call: Call) -> None:
        """Checks what was seen in the last call of the network.

        Raises:
            ValueError: The call's input has no batch axis, or no graph was recorded.
        """
        if self.unbatched == call.shape:
            raise ValueError(
                f"layer {name!r} takes an input of shape {tuple(call.shape)} as one image, without a batch axis; "
                "give batches (N, ...), of a data set by a DataLoader, of an image as image[None]"
            )
        if self.unrecorded:
            raise ValueError(
                f"layer {name!r} runs where no graph is recorded (torch.no_grad, inference_mode or checkpointing by "
                "use_reentrant=True in the network's forward pass), so it gets no gradient; let the forward pass "
                "record one, checkpoint by use_reentrant=False, or use weighting='activation'"
            )

    def finish(self, name: str) -> Moments:
        """Returns the means: over positions for inputs, over images for gradients."""
        groups, height, width = folding_of(self.layer, "channel").shape(self.layer)
        columns = _mean(self.columns, self.vectors, (groups, width, width), name)
        if self.weighting == "activation":
            return Moments(columns, None)
        return Moments(columns, _mean(self.rows, self.images, (groups, height, height), name))

    def _positions(self, gradient: Tensor, input_sizes: Sequence[int]) -> int:
        dims = len(input_sizes)
        batch = gradient.shape[0] if gradient.ndim == dims + 2 else 1
        return batch * positions(self.layer, input_sizes, gradient.shape[-dims:])

    def _wanted(self) -> int:
        return wanted_positions(self.layer, self.batches)


def wanted_positions(layer: nn.Module, batches: int) -> int:
    """Returns how many positions of each batch the second moments of a layer's inputs need."""
    largest = max(folding_of(layer, "channel").shape(layer)[1:])
    return -(-max(_POSITIONS, _PER_ROW * largest) // batches)


def _added(total: Tensor | None, vectors: Tensor, scale: float) -> Tensor:
    product = (vectors @ vectors.mT).double()
    return product.mul_(scale) if total is None else total.add_(product, alpha=scale)


def _mean(total: Tensor | None, number: int, shape: tuple[int, ...], name: str) -> Tensor:
    """Returns total / number, float32, on the CPU; zeros where the loss does not depend on the layer."""
    mean = torch.zeros(shape, dtype=torch.float32, device="cpu") if total is None else (total / number).float().cpu()
    if not bool(mean.isfinite().all()):
        raise FloatingPointError(
            f"the inputs or gradients of layer {name!r} are not finite; the network has diverged or overflowed"
        )
    return mean
