"""Weights in few bits in an ONNX model: whole numbers and scales, which the runtime multiplies when it loads the file.

The exporter makes BatchNorm part of the convolution before it, that is, multiplies filters by numbers. Codes stay the
same then, and scales are multiplied; weights in half precision get such a factor a filter beside them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from torch_lowrank.quantization.bits import HALF
from torch_lowrank.quantization.coding import Coding, bytes_of, codings
from torch_lowrank.quantization.packing import pack

_ROUNDING = 1e-5  # relative to the largest weight: of float32, after the multiplication by another number
_SMALL = 4  # bits up to which two codes share a byte
_FILTER_AXES = (0, 1)  # output channels of a convolution, and of a transposed one


def store_codes(model: onnx.ModelProto, coded: nn.Module, exported: nn.Module, prefix: str) -> int:
    """Replaces those weights of a model, in place, that a network has in few bits, by that network's codes.

    Args:
        model: What `onnx_model` made of a network.
        coded: The network to store, which remembers how its weights are stored; see `quantization.coding`.
        exported: The network that the model was made of: the same one, or the one that was rounded.
        prefix: Of the names of the network's tensors in the model.

    Returns:
        How many weights were replaced. Weights that the exporter has changed by more than a factor a filter stay in
        float32, and so do those in half precision that would not become smaller with their factors.
    """
    rounded, state = coded.state_dict(), exported.state_dict()
    weights = {weight.name: weight for weight in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    replaced = 0
    for name, coding in codings(coded).items():
        weight = weights.get(f"{prefix}{name}")
        made = None if weight is None else _coded(weight, coding, state[name], rounded[name])
        if weight is not None and made is not None:
            model.graph.initializer.remove(weight)
            model.graph.initializer.extend(made[0])
            nodes.extend(made[1])
            replaced += 1
    others = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *others])
    onnx.checker.check_model(model)
    return replaced


def _coded(
    weight: onnx.TensorProto, coding: Coding, before: Tensor, rounded: Tensor
) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]] | None:
    """Returns tensors and nodes that give a weight, or None where it is not the network's."""
    after = torch.from_numpy(np.array(numpy_helper.to_array(weight)))
    if coding.bits == HALF:
        return _halves(weight.name, after, rounded.detach().cpu())
    factor = _factor(before.detach().cpu(), after)
    if factor is None or coding.scale is None:
        return None
    codes = torch.from_numpy(coding.encode(rounded))
    scale = coding.scale.double() * factor.unflatten(0, (len(coding.scale) if len(factor) > 1 else 1, -1))
    return _dequantised(weight.name, codes, scale.float(), list(after.shape), coding.bits)


def _halves(name: str, after: Tensor, rounded: Tensor) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]] | None:
    """Returns a weight in half precision, times a factor a filter in float32 where the exporter has multiplied it."""
    cast = functools.partial(helper.make_node, "Cast", [f"{name}_half"], to=TensorProto.FLOAT)
    if torch.equal(after.half().float(), after):
        return [numpy_helper.from_array(after.half().numpy(), f"{name}_half")], [cast([name])]
    factor = _factor(rounded, after)
    if factor is None or 4 * factor.numel() >= 2 * after.numel():  # bytes
        return None
    stored = [
        numpy_helper.from_array(rounded.half().numpy(), f"{name}_half"),
        numpy_helper.from_array(factor.float().numpy(), f"{name}_factor"),
    ]
    return stored, [cast([f"{name}_plain"]), helper.make_node("Mul", [f"{name}_plain", f"{name}_factor"], [name])]


def _factor(before: Tensor, after: Tensor) -> Tensor | None:
    """Returns what each filter was multiplied by, of a shape that is multiplied with the weight; None where none is."""
    if before.shape != after.shape:
        return None
    old, new = before.double(), after.double()
    for axis in _FILTER_AXES[: old.ndim]:
        others = [each for each in range(old.ndim) if each != axis]
        squares = old.square().sum(others, keepdim=True)
        factor = torch.where(squares > 0, (old * new).sum(others, keepdim=True) / squares, 1.0)
        if float((old * factor - new).abs().max()) <= _ROUNDING * float(new.abs().max()):
            return factor
    return None


def _dequantised(
    name: str, codes: Tensor, scale: Tensor, shape: list[int], bits: int
) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    """Returns codes (groups, ...) and scales, and the nodes that multiply them to a weight of a shape.

    Where scales differ along one axis alone that is one node, which runtimes know.
    """
    varying = [axis for axis, side in enumerate(scale.shape) if side > 1]
    if len(codes) == 1 and len(varying) <= 1:
        axis = varying[0] - 1 if varying else 0
        stored = _whole_numbers(f"{name}_codes", codes.reshape(shape), bits)
        scales = scale.flatten().numpy() if varying else scale.reshape(()).numpy()
        attributes: dict[str, Any] = {"axis": axis} if varying else {}
        tensors = [stored, numpy_helper.from_array(scales, f"{name}_scale")]
        return tensors, [helper.make_node("DequantizeLinear", [each.name for each in tensors], [name], **attributes)]
    tensors = [
        _whole_numbers(f"{name}_codes", codes, bits),
        numpy_helper.from_array(np.ones((), np.float32), f"{name}_one"),
        numpy_helper.from_array(scale.numpy(), f"{name}_scale"),
        numpy_helper.from_array(np.array(shape, np.int64), f"{name}_shape"),
    ]
    return tensors, [
        helper.make_node("DequantizeLinear", [f"{name}_codes", f"{name}_one"], [f"{name}_plain"]),
        helper.make_node("Mul", [f"{name}_plain", f"{name}_scale"], [f"{name}_scaled"]),
        helper.make_node("Reshape", [f"{name}_scaled", f"{name}_shape"], [name]),
    ]


def _whole_numbers(name: str, codes: Tensor, bits: int) -> onnx.TensorProto:
    """Returns codes as a tensor of 4 bits each, where they fit, or of 8."""
    values = codes.numpy()
    if bits > _SMALL:
        return numpy_helper.from_array(values, name)
    packed = pack(bytes_of(values).ravel() & (2**_SMALL - 1), _SMALL)
    return helper.make_tensor(name, TensorProto.INT4, values.shape, packed, raw=True)
