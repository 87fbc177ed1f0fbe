"""Second moments of each layer's inputs and gradients, which predict what a change of its weight does to the loss.

For a weight unfolded to W (m x n) by the channel scheme, the loss of a small change D rises by about

    1/2 tr(R D C D^T),   C = E[a a^T] (n x n),   R = E[sum over positions of g g^T] (m x m),

where a are the vectors that W multiplies and g the gradients of the loss at its outputs: the Kronecker-factored
Fisher information (Martens and Grosse 2015, arXiv 1503.05671; for convolutions Grosse and Martens 2016, arXiv
1602.01407).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from torch_lowrank.layers.unfolding import folding_of

WEIGHTINGS = ("none", "activation", "curvature")
# Shares of the mean diagonal that are added to the diagonal, so that directions no image took are not free of cost.
_DAMPING_ROWS = 1e-3
_DAMPING_COLUMNS = 1e-6
_SMALLEST = 1e-30  # where the mean diagonal is 0: all inputs are 0, or the loss does not depend on the layer


@dataclasses.dataclass(frozen=True)
class Moments:
    """The second moments of one layer, for its weight unfolded by the channel scheme.

    Attributes:
        columns: C, (groups, n, n), float32.
        rows: R, (groups, m, m), float32; None where no gradients were taken.
    """

    columns: Tensor
    rows: Tensor | None

    def weights(self, layer: nn.Module, scheme: str) -> tuple[Tensor, Tensor]:
        """Returns the damped moments (rows, columns), float64, for the layer's weight unfolded by a scheme.

        The spatial scheme moves kernel axes from one side of the matrix to the other. On the side that loses them the
        moment is the mean over their taps; on the other side the taps are taken as independent. So these moments are an
        approximation; `decomposition.refine` works with the exact ones.
        """
        folding = folding_of(layer, scheme)
        rows, columns = self.damped(layer)
        kernel = tuple(getattr(layer, "kernel_size", ()))
        if folding.transposed:  # the channel scheme has all taps in the rows
            rows = _mean_over_taps(rows, kernel, set(range(folding.axes)))
            columns = _with_taps(columns, kernel[: folding.axes])
        else:  # it has them in the columns
            columns = _mean_over_taps(columns, kernel, set(range(folding.axes, folding.dims)))
            rows = _with_taps(rows, kernel[folding.axes :])
        return rows, columns

    def damped(self, layer: nn.Module) -> tuple[Tensor, Tensor]:
        """Returns the damped moments (rows, columns) for the channel scheme, float64; without gradients rows are I."""
        columns = _damp(self.columns.to(torch.float64, copy=True), _DAMPING_COLUMNS)
        if self.rows is not None:
            return _damp(self.rows.to(torch.float64, copy=True), _DAMPING_ROWS), columns
        groups, size, _ = folding_of(layer, "channel").shape(layer)
        eye = torch.eye(size, dtype=torch.float64, device=columns.device)
        return eye.expand(groups, size, size), columns

    def to(self, device: str | torch.device) -> Moments:
        """Returns the moments on a device."""
        return Moments(self.columns.to(device), None if self.rows is None else self.rows.to(device))


class Statistics(Mapping[str, Moments]):
    """Layer name to moments, read from disk where they are asked for, or in memory.

    Attributes:
        weighting: `curvature`, or `activation` where there are no gradients.
        images: How many images they were taken from.
    """

    def __init__(self, moments: Mapping[str, Moments], weighting: str, images: int) -> None:
        self._moments = moments
        self.weighting = weighting
        self.images = images

    def __getitem__(self, name: str) -> Moments:
        return self._moments[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._moments)

    def __len__(self) -> int:
        return len(self._moments)

    def of_layer(self, name: str, layer: nn.Module, weighting: str) -> Moments:
        """Returns a layer's moments for a weighting, `activation` or `curvature`.

        Raises:
            ValueError: If they are missing, or of a layer of another shape.
        """
        if name not in self:
            raise ValueError(f"the statistics lack layer {name!r}; collect them from this network")
        moments = self[name]
        groups, rows, columns = folding_of(layer, "channel").shape(layer)
        right = moments.columns.shape == (groups, columns, columns)
        if not right or (moments.rows is not None and moments.rows.shape != (groups, rows, rows)):
            raise ValueError(f"the statistics of layer {name!r} are of a layer of another shape; collect them again")
        return dataclasses.replace(moments, rows=None) if weighting == "activation" else moments

    def digest(self) -> str:
        """Returns a digest of the content."""
        content = hashlib.sha256(json.dumps([list(self), self.weighting, self.images]).encode())
        for moments in self.values():
            for moment in (moments.columns, moments.rows):
                content.update(b"" if moment is None else moment.contiguous().numpy().tobytes())
        return content.hexdigest()

    def save(self, file: Path) -> None:
        """Writes everything to one safetensors file."""
        tensors = {}
        for name, moments in self.items():
            tensors[f"{name}:columns"] = moments.columns.contiguous()
            if moments.rows is not None:
                tensors[f"{name}:rows"] = moments.rows.contiguous()
        header = {"layers": list(self), "weighting": self.weighting, "images": self.images}
        save_file(tensors, file, {"statistics": json.dumps(header)})

    @classmethod
    def load(cls, file: Path) -> Statistics:
        """Opens what `save` wrote; the moments themselves are read later, a layer at a time.

        Raises:
            ValueError: If the file is missing, damaged or is something else.
        """
        try:
            with safe_open(file, "pt") as stored:
                header = json.loads((stored.metadata() or {})["statistics"])
            return cls(_Stored(file, header["layers"]), header["weighting"], header["images"])
        except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{file} holds no statistics that can be read ({error}); collect them again") from error


class _Stored(Mapping[str, Moments]):
    """Moments in a safetensors file."""

    def __init__(self, file: Path, layers: list[str]) -> None:
        self._file = file
        self._layers = dict.fromkeys(layers)

    def __getitem__(self, name: str) -> Moments:
        if name not in self._layers:
            raise KeyError(name)
        with safe_open(self._file, "pt") as stored:
            rows = f"{name}:rows"
            return Moments(
                stored.get_tensor(f"{name}:columns"),
                stored.get_tensor(rows) if rows in stored.keys() else None,  # noqa: SIM118 - no dict
            )

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


def cholesky(matrices: Tensor, damping: float = 1e-12) -> Tensor:
    """Returns L with L L^T = matrix, (groups, n, n), float64.

    Moments that were stored in float32 may have eigenvalues slightly below zero; as much is added as it takes.
    """
    return _positive(matrices, damping)[1]


def positive(matrices: Tensor, damping: float = 1e-12) -> Tensor:
    """Returns moments (groups, n, n), float64, with as much added as it takes to have no eigenvalue below zero."""
    return _positive(matrices, damping)[0]


def _positive(matrices: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """Returns the moments that `positive` does, and their Cholesky factor."""
    tried = matrices
    factor, failed = torch.linalg.cholesky_ex(tried)
    while bool(failed.any()):
        if damping > 1:
            raise FloatingPointError("a second moment is not finite or not positive; collect the statistics again")
        tried = _damp(matrices.clone(), damping)
        factor, failed = torch.linalg.cholesky_ex(tried)
        damping *= 10
    return tried, factor


def _damp(matrices: Tensor, share: float) -> Tensor:
    """Adds a share of the mean diagonal to the diagonal, in place."""
    diagonal = matrices.diagonal(dim1=1, dim2=2)
    diagonal.add_((share * diagonal.mean(1, keepdim=True)).clamp_min(_SMALLEST))
    return matrices


def _mean_over_taps(matrices: Tensor, kernel: tuple[int, ...], dropped: set[int]) -> Tensor:
    """Returns moments of vectors (channel, k_1 .. k_d) without some kernel axes: the mean over equal taps there."""
    if not dropped:
        return matrices
    grid = matrices.unflatten(2, (-1, *kernel)).unflatten(1, (-1, *kernel))
    second = len(kernel) + 2  # where the other side's axes begin
    kept = [0, *(axis + 1 for axis in range(len(kernel)) if axis not in dropped)]
    lost = [axis + 1 for axis in sorted(dropped)]
    order = [1 + axis for axis in kept] + [second + axis for axis in kept]
    order += [1 + axis for axis in lost] + [second + axis for axis in lost]
    sizes = [math.prod(grid.shape[1 + axis] for axis in axes) for axes in (kept, kept, lost, lost)]
    return grid.permute(0, *order).reshape(-1, *sizes).diagonal(dim1=3, dim2=4).mean(-1)


def _with_taps(matrices: Tensor, taps: tuple[int, ...]) -> Tensor:
    """Returns moments of vectors (channel, taps) from those of channels, every tap on its own."""
    if math.prod(taps) == 1:
        return matrices
    eye = torch.eye(math.prod(taps), dtype=matrices.dtype, device=matrices.device)
    return torch.stack([torch.kron(matrix.contiguous(), eye) for matrix in matrices])
