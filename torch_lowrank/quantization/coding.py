"""How a tensor is stored in few bits, which its module remembers, and the way from values to codes and back.

A weight in b bits is scale * code with a whole number -2^(b-1) <= code < 2^(b-1), one scale for each output channel or
for any other part of it. The network computes with the products, in float32, as with any other weight. The codes are
found again by division, so nothing but the scales has to be kept beside the weight.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torch_lowrank.quantization.bits import HALF

_CODINGS = "weight_codings"  # attribute of a module: name of its tensor to coding


class CodingError(ValueError):
    """A tensor is not what its coding can store."""


@dataclasses.dataclass(frozen=True)
class Coding:
    """How one tensor is stored.

    Attributes:
        bits: For each value; 16 is half precision.
        scale: Where bits are fewer: (groups, a, b, ...), float32 with values that bfloat16 holds. Codes of the tensor's
            shape, the first axis of which is divided into groups, are multiplied by it, with broadcasting.
    """

    bits: int
    scale: Tensor | None = None

    def encode(self, tensor: Tensor) -> NDArray:
        """Returns the codes: int8 (groups, ...), or float16 of the tensor's shape.

        Raises:
            CodingError: Decoding would not give the same tensor, bit by bit.
        """
        values = tensor.detach().to("cpu").contiguous()
        if values.dtype != torch.float32:
            raise CodingError(f"it has type {values.dtype}, and its coding is for float32")
        if self.scale is None:
            codes = values.half().numpy()
        else:
            low, high = code_range(self.bits)
            quotient = values.unflatten(0, (len(self.scale), -1)) / self.scale.double()
            codes = quotient.nan_to_num(0).round().clamp(low, high).to(torch.int8).numpy()  # 0 / 0 is code 0
        if not torch.equal(self.decode(codes).reshape(values.shape), values):
            raise CodingError(f"its values are not those that it had when it was rounded to {self.bits} bits")
        return codes

    def decode(self, codes: NDArray) -> Tensor:
        """Returns the values, float32, in the shape of the codes."""
        values = torch.from_numpy(codes).float()
        return values if self.scale is None else values * self.scale


def code_range(bits: int) -> tuple[int, int]:
    """Returns the smallest and the largest code."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def remember(module: nn.Module, name: str, coding: Coding) -> None:
    """Lets a module remember how one of its own tensors is stored; copies of the module do, too."""
    setattr(module, _CODINGS, {**getattr(module, _CODINGS, {}), name: coding})


def coding_of(module: nn.Module, name: str = "weight") -> Coding | None:
    """Returns how a tensor of a module is stored, None where it is stored as it is."""
    return getattr(module, _CODINGS, {}).get(name)


def round_again(module: nn.Module) -> None:
    """Rounds those of a module's own tensors to half precision, in place, that are stored in it and were changed.

    One that half precision cannot hold any more is stored as it is from now on.
    """
    for name, coding in getattr(module, _CODINGS, {}).items():
        if coding.bits == HALF:
            tensor = getattr(module, name).data
            if bool(tensor.half().isfinite().all()):
                tensor.copy_(tensor.half())
            else:
                setattr(module, _CODINGS, {key: kept for key, kept in getattr(module, _CODINGS).items() if key != name})


def codings(network: nn.Module) -> dict[str, Coding]:
    """Returns how tensors of a network are stored, by their names in its state, in that order."""
    found = {}
    for prefix, module in network.named_modules(remove_duplicate=False):
        for name, coding in getattr(module, _CODINGS, {}).items():
            found[f"{prefix}.{name}".lstrip(".")] = coding
    return {name: found[name] for name in network.state_dict() if name in found}


def bytes_of(codes: NDArray) -> NDArray[np.uint8]:
    """Returns int8 codes as the numbers from 0 on that their lowest bits are."""
    return codes.view(np.uint8)
