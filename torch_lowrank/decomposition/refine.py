"""Refinement: improves the factors of the spatial scheme, where no decomposition gives the best ones for the loss.

For the matrix of the spatial scheme the moments are an approximation: the taps of a kernel see nearly the same pixels,
which moments of that matrix cannot express. But the error is known exactly for the product of both factors, unfolded by
the channel scheme:

    f(left, right) = tr(R D C D^T) / tr(R W C W^T),   D = unfold(left right) - W

Minimising it is no eigenvalue problem, but a smooth one with a good start, the weighted decomposition. In coordinates
in which the start is orthonormal, a few steps of L-BFGS come close to the minimum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torch_lowrank.curvature.moments import Moments, cholesky, positive
from torch_lowrank.decomposition.svd import balanced
from torch_lowrank.layers.unfolding import folding_of, stored_weight
from torch_lowrank.modes import Device, exact_device, undisturbed

_STEPS = 20


@undisturbed()
def refine(
    layer: nn.Module,
    scheme: str,
    left: Tensor,
    right: Tensor,
    moments: Moments,
    device: Device = None,
    *,
    target: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns better factors of the same rank.

    Args:
        layer: The dense layer.
        scheme: By which its weight is unfolded to left @ right.
        left: (groups, m, r).
        right: (groups, r, n).
        moments: The layer's.
        device: Where to compute, in float32; None is where the weight lies, see `exact_device`.
        target: W in the place of the layer's own weight, unfolded by the channel scheme (groups, m, n).

    Returns:
        The factors, on the device and in the type of those given. Those given, where no step made them better.
    """
    if scheme == "channel":  # the weighted decomposition is the minimum
        return left, right
    place = exact_device(stored_weight(layer).device, device)
    moments = moments.to(place)
    weight = (folding_of(layer, "channel").matrix(layer) if target is None else target).to(place, torch.float64)
    rows, columns = (positive(each) for each in moments.damped(layer))  # else the error has no minimum
    total = float(((rows @ weight @ columns) * weight).sum())
    if total == 0:
        return left, right
    coordinates = _Coordinates(layer, scheme, moments)
    inner = coordinates.inside(left.to(place, torch.float64), right.to(place, torch.float64))
    exact = _Problem(layer, scheme, weight, rows / total, columns, coordinates)
    # Of moments of few images, float32 does not see the directions that hardly any image took, and may run away there.
    for dtype in (torch.float32, torch.float64):
        found = tuple(each.double() for each in exact.to(dtype).solve(*(each.to(dtype) for each in inner)))
        if exact.error(*found) < exact.error(*inner):  # false for nan
            outside = balanced(*coordinates.outside(*found))
            return tuple(each.to(left.device, left.dtype) for each in outside)  # type: ignore[return-value]
    return left, right


class _Coordinates:
    """Changes coordinates: multiplies the factors by the square roots of the moments, and back."""

    def __init__(self, layer: nn.Module, scheme: str, moments: Moments) -> None:
        rows, columns = moments.weights(layer, scheme)
        self._left = cholesky(rows).mT
        self._right = cholesky(columns)
        self._left_inverse = torch.linalg.inv(self._left)
        self._right_inverse = torch.linalg.inv(self._right)

    def inside(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        return balanced(self._left @ left, right @ self._right)

    def outside(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        return self._left_inverse.to(left.dtype) @ left, right @ self._right_inverse.to(right.dtype)


class _Problem:
    """The error as a function of the factors."""

    def __init__(
        self, layer: nn.Module, scheme: str, weight: Tensor, rows: Tensor, columns: Tensor, place: _Coordinates
    ) -> None:
        self._layer, self._scheme, self._place = layer, scheme, place
        self._weight, self._rows, self._columns = weight, rows, columns
        self._groups = len(weight)

    def to(self, dtype: torch.dtype) -> _Problem:
        """Returns the problem computed in another type."""
        weight, rows, columns = (each.to(dtype) for each in (self._weight, self._rows, self._columns))
        return _Problem(self._layer, self._scheme, weight, rows, columns, self._place)

    def error(self, left: Tensor, right: Tensor) -> float:
        """Returns the error of factors."""
        difference = self._unfolded(*self._place.outside(left, right)) - self._weight
        return float(((self._rows @ difference @ self._columns) * difference).sum())

    def solve(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the factors after a few steps."""
        factors = [left.clone().requires_grad_(), right.clone().requires_grad_()]
        optimizer = torch.optim.LBFGS(
            factors, max_iter=_STEPS, history_size=_STEPS, tolerance_grad=0, line_search_fn="strong_wolfe"
        )
        with torch.enable_grad():
            optimizer.step(lambda: self._error_and_gradient(factors))
        return factors[0].detach(), factors[1].detach()

    def _error_and_gradient(self, factors: list[Tensor]) -> float:
        for factor in factors:
            factor.grad = None
        difference = self._unfolded(*self._place.outside(*factors)) - self._weight
        weighted = self._rows @ difference.detach() @ self._columns
        difference.backward(2 * weighted)  # of tr(R D C D^T)
        return float((weighted * difference.detach()).sum())

    def _unfolded(self, left: Tensor, right: Tensor) -> Tensor:
        """Returns the product of the factors, unfolded by the channel scheme."""
        folding = folding_of(self._layer, self._scheme)
        dense = folding.dense_weight(self._layer, *folding.weights(self._layer, left, right))
        return folding_of(self._layer, "channel").unfold(dense, self._groups)
