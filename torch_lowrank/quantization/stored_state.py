"""A network's state as one run of bytes, in which tensors with a coding take a few bits for each value.

The tensors follow each other in the order of the state, each as it lies in memory (little-endian), or, with a coding,
its scales in bfloat16 and then its codes, packed. Names and shapes are the network's own: a header with a line for
every tensor would take as many bytes as a small network's weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torch_lowrank.quantization.bits import BITS, HALF
from torch_lowrank.quantization.coding import Coding, CodingError, bytes_of, remember
from torch_lowrank.quantization.packing import pack, packed_size, unpack


def describe_codings(coded: Mapping[str, Coding]) -> list[dict[str, Any]]:
    """Returns the codings as JSON-like data, without the scales' values."""
    return [
        {"name": name, "bits": coding.bits, "scale": None if coding.scale is None else list(coding.scale.shape)}
        for name, coding in coded.items()
    ]


def write_state(state: Mapping[str, Tensor], coded: Mapping[str, Coding]) -> Tensor:
    """Returns the bytes, uint8 (size,).

    Raises:
        CodingError: A tensor was changed after it was rounded.
    """
    parts = []
    for name, tensor in state.items():
        try:
            parts.append(_encoded(tensor, coded[name]) if name in coded else _raw(tensor))
        except CodingError as error:
            raise CodingError(
                f"the tensor {name!r} was changed after it was quantised: {error}; call quantize_weights on the "
                "network again, or on the one that it was made of"
            ) from error
    return torch.frombuffer(bytearray(b"".join(parts)), dtype=torch.uint8)


def unusual_dtypes(state: Mapping[str, Any]) -> dict[str, str]:
    """Returns the types of floating-point tensors that are not float32: a constructor may make others of them."""
    return {
        name: str(tensor.dtype).removeprefix("torch.")
        for name, tensor in state.items()
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.dtype != torch.float32
    }


def read_state(
    content: bytes, state: Mapping[str, Tensor], entries: list[Any], dtypes: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Coding]]:
    """Returns the tensors that `write_state` made bytes of, and their codings with the scales.

    Args:
        content: The bytes.
        state: Of a network of the same structure; values and floating-point types do not matter.
        entries: Result of `describe_codings`.
        dtypes: Result of `unusual_dtypes`.

    Raises:
        CodingError: The entries do not fit the state, or the bytes are more or fewer than these tensors take.
    """
    state = _typed(state, dtypes)
    shapes = _checked(entries, state)
    sizes = {name: _size(tensor, *shapes.get(name, (None, None))) for name, tensor in state.items()}
    if sum(sizes.values()) != len(content):
        raise CodingError(f"the network's state takes {sum(sizes.values())} bytes, there are {len(content)}")
    tensors, coded, start = {}, {}, 0
    for name, tensor in state.items():
        part = content[start : start + sizes[name]]
        start += sizes[name]
        if name in shapes:
            tensors[name], coded[name] = _decoded(part, tensor.shape, *shapes[name])
        else:
            tensors[name] = _from_bytes(part, tensor.dtype).reshape(tensor.shape)
    return tensors, coded


def attach(network: nn.Module, coded: Mapping[str, Coding]) -> None:
    """Lets the modules of a network remember the codings of their tensors."""
    for name, coding in coded.items():
        owner, _, own = name.rpartition(".")
        remember(network.get_submodule(owner), own, coding)


def _typed(state: Mapping[str, Tensor], dtypes: Mapping[str, Any]) -> dict[str, Tensor]:
    """Returns tensors without values, of the shapes of a state and the types of a description."""
    for name, dtype in dtypes.items():
        if name not in state or not state[name].is_floating_point() or dtype not in ("float16", "bfloat16", "float64"):
            raise CodingError(f"{name!r} of type {dtype!r} is no tensor of the network")
    return {
        name: torch.empty(
            tensor.shape,
            device="meta",
            dtype=getattr(torch, dtypes.get(name, "float32")) if tensor.is_floating_point() else tensor.dtype,
        )
        for name, tensor in state.items()
    }


def _raw(tensor: Tensor) -> bytes:
    return (
        tensor.detach().cpu().clone(memory_format=torch.contiguous_format).view(-1).view(torch.uint8).numpy().tobytes()
        if tensor.numel()
        else b""
    )


def _from_bytes(content: bytes, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype, device="cpu")


def _encoded(tensor: Tensor, coding: Coding) -> bytes:
    codes = coding.encode(tensor)
    if coding.scale is None:
        return codes.tobytes()
    return _raw(coding.scale.bfloat16()) + pack(bytes_of(codes) & (2**coding.bits - 1), coding.bits)


def _decoded(content: bytes, shape: torch.Size, bits: int, scale: tuple[int, ...] | None) -> tuple[Tensor, Coding]:
    if scale is None:
        coding = Coding(bits)
        return coding.decode(np.frombuffer(content, np.float16).copy()).reshape(shape), coding
    scale_size = torch.bfloat16.itemsize * math.prod(scale)
    coding = Coding(bits, _from_bytes(content[:scale_size], torch.bfloat16).float().reshape(scale))
    sign = 2 ** (bits - 1)
    codes = (unpack(content[scale_size:], math.prod(shape), bits) ^ sign).astype(np.int16) - sign  # two's complement
    return coding.decode(codes.astype(np.int8).reshape(scale[0], -1, *shape[1:])).reshape(shape), coding


def _size(tensor: Tensor, bits: int | None, scale: tuple[int, ...] | None) -> int:
    if bits is None:
        return tensor.numel() * tensor.element_size()
    return packed_size(tensor.numel(), bits) + (torch.bfloat16.itemsize * math.prod(scale) if scale else 0)


def _checked(entries: list[Any], state: Mapping[str, Tensor]) -> dict[str, tuple[int, tuple[int, ...] | None]]:
    """Returns bits and the scale's shape for each tensor of the entries."""
    found: dict[str, tuple[int, tuple[int, ...] | None]] = {}
    for entry in entries:
        try:
            name, bits, scale = entry["name"], entry["bits"], entry["scale"]
            tensor = state[name]
            known = (bits == HALF and scale is None) or (bits in BITS and _fits(scale, tensor.shape))
            if name in found or tensor.dtype != torch.float32 or type(bits) is not int or not known:
                raise CodingError(f"the network has {list(tensor.shape)}, {tensor.dtype} there")
        except (KeyError, TypeError, CodingError) as error:
            raise CodingError(f"the quantised tensor {entry!r} does not fit the network: {error}") from error
        found[name] = bits, None if scale is None else tuple(scale)
    return found


def _fits(scale: Any, shape: torch.Size) -> bool:
    """Returns whether a scale of that shape can be multiplied with a tensor, its first axis divided into groups."""
    if not isinstance(scale, list) or len(scale) != len(shape) + 1 or any(type(size) is not int for size in scale):
        return False
    if scale[0] < 1 or shape[0] % scale[0]:
        return False
    return all(size in (1, whole) for size, whole in zip(scale[1:], (shape[0] // scale[0], *shape[1:]), strict=True))
