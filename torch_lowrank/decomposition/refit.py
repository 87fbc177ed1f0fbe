"""Refitting: the factors of a layer that, for the inputs it gets in a compressed network, come closest to its outputs.

A layer of a compressed network is given a' where the dense one was given a. Truncating W leaves that aside; here

    E ||R^1/2 (W a - W_r a')||^2  =  tr(R (M - W_r) C' (M - W_r)^T) + constant,
    C' = E[a' a'^T],   M = E[W a a'^T] C'^-1,

is made small: a truncation of M, the regression of the dense outputs on the inputs that there are, in the norm of those
inputs. Fitting to the inputs of the compressed network is the asymmetric reconstruction of Zhang et al. 2015 (arXiv
1505.06798, section 3.3).
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from torch_lowrank.curvature.moments import Moments
from torch_lowrank.curvature.patches import input_vectors
from torch_lowrank.decomposition.refine import refine
from torch_lowrank.decomposition.svd import balanced
from torch_lowrank.decomposition.weighted_svd import factorize_weighted
from torch_lowrank.layers.factorized import LowRank
from torch_lowrank.layers.unfolding import folding_of

_DAMPING = 1e-2  # of the mean diagonal of C'; few positions of few images would be fitted too closely by 1e-4


@dataclasses.dataclass
class Pairs:
    """The sums over pairs of inputs (dense network, compressed one) of one layer.

    Args:
        layer: The dense layer.
        wanted: About how many positions of each pair to take.
    """

    layer: nn.Module
    wanted: int

    def __post_init__(self) -> None:
        folding = folding_of(self.layer, "channel")
        self._weight = folding.matrix(self.layer).double()
        groups, rows, columns = self._weight.shape
        self._inputs = self._weight.new_zeros(groups, columns, columns)
        self._outputs = self._weight.new_zeros(groups, rows, columns)
        self._input, self._output = self._weight.new_zeros(groups, columns), self._weight.new_zeros(groups, rows)
        self.number = 0

    def add(self, dense: Tensor, compressed: Tensor, turn: int) -> None:
        """Adds a pair of inputs of one shape; `turn` as for `input_vectors`."""
        before, now = (input_vectors(self.layer, each, self.wanted, turn) for each in (dense, compressed))
        outputs = self._weight.to(before.dtype) @ before
        self._inputs += (now @ now.mT).double()
        self._outputs += (outputs @ now.mT).double()
        self._input += now.sum(2).double()
        self._output += outputs.sum(2).double()
        self.number += now.shape[2]

    def fitted(self, scheme: str, rank: int, rows: Tensor | None) -> LowRank:
        """Returns the two thin layers, with a bias where the dense layer has one.

        Args:
            scheme: How the weight is unfolded.
            rank: Of the two layers.
            rows: R, as in `Moments`; None is I.

        Raises:
            FloatingPointError: The inputs are not finite.
        """
        inputs, outputs = self._inputs / self.number, self._outputs / self.number
        mean_input, mean_output = self._input / self.number, self._output / self.number
        biased = isinstance(self.layer.bias, nn.Parameter)
        if biased:  # which takes what does not change from input to input
            inputs = inputs - mean_input[:, :, None] * mean_input[:, None]
            outputs = outputs - mean_output[:, :, None] * mean_input[:, None]
        if not bool(inputs.isfinite().all() and outputs.isfinite().all()):
            raise FloatingPointError("the inputs of a layer are not finite; the network has diverged or overflowed")
        target, moment = self._regression(inputs, outputs)
        new = LowRank.from_factors(self.layer, scheme, *self._factors(scheme, rank, target, Moments(moment, rows)))
        if biased:
            kept = folding_of(self.layer, "channel").matrix(new) @ mean_input[:, :, None]
            self._shift(new, mean_output - kept[:, :, 0])
        return new

    def _regression(self, inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns M (groups, m, n) and C' (groups, n, n), both damped."""
        damping = _DAMPING * inputs.diagonal(dim1=1, dim2=2).mean(1)[:, None, None].clamp_min(1e-30)
        damped = inputs + damping * torch.eye(inputs.shape[1], dtype=inputs.dtype, device=inputs.device)
        return torch.linalg.solve(damped, (outputs + damping * self._weight).mT).mT, damped

    def _factors(self, scheme: str, rank: int, target: Tensor, moments: Moments) -> tuple[Tensor, Tensor]:
        channel, folding = folding_of(self.layer, "channel"), folding_of(self.layer, scheme)
        eye = torch.eye(target.shape[2], dtype=target.dtype, device=target.device).expand(len(target), -1, -1)
        dense = channel.dense_weight(self.layer, *channel.weights(self.layer, target, eye))
        weights = moments.to(target.device).weights(self.layer, scheme)
        left, _, right = factorize_weighted(folding.unfold(dense, len(target)), *weights)
        left, right = left[:, :, :rank].contiguous(), right[:, :rank].contiguous()
        return balanced(*refine(self.layer, scheme, left, right, moments, target=target))

    def _shift(self, new: LowRank, by: Tensor) -> None:
        """Adds what is missing of the mean outputs (groups, m) to the bias.

        An output of a transposed convolution is the sum of several taps, where the kernel is larger than the stride.
        """
        bias = new.second.get_parameter("bias")
        stride = math.prod(self.layer.stride) if folding_of(self.layer, "channel").transposed else 1  # type: ignore[arg-type]
        bias.data += (by.flatten().unflatten(0, (bias.numel(), -1)).sum(1) / stride).to(bias)
