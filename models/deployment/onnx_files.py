"""Networks as ONNX files, which ONNX Runtime and others run."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import onnx
import torch

INPUT, OUTPUT = "images", "probabilities"
_OPSET = 21  # the first with weights of 4 bits
_AXES = ("batch", "height", "width")


def onnx_model(program: torch.export.ExportedProgram, about: Mapping[str, Any]) -> onnx.ModelProto:
    """Returns a program as an ONNX model: `images` uint8 (N, H, W, C) to `probabilities` float32 (N, classes, H, W).

    Args:
        program: Of `sizes.traced`.
        about: JSON-like data to keep in the model, by name.
    """
    with _quiet():
        made = torch.onnx.export(
            program, dynamo=True, opset_version=_OPSET, verbose=False, input_names=[INPUT], output_names=[OUTPUT]
        )
    if made is None:
        raise TypeError("torch.onnx.export returned nothing")
    model = made.model_proto
    _strip(model.graph)
    del model.functions[:], model.metadata_props[:]
    _name_axes(model.graph)
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in about.items()})
    onnx.checker.check_model(model)
    return model


def _strip(graph: onnx.GraphProto) -> None:
    """Removes what says where in the code a node comes from: it takes more bytes than small weights, and names paths.

    Shapes between nodes go, too; runtimes find them again.
    """
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _strip(attribute.g)
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    graph.doc_string = ""
    del graph.value_info[:], graph.metadata_props[:]


def _name_axes(graph: onnx.GraphProto) -> None:
    """Calls the free axes of the input batch, height and width, and those of the output alike."""
    names = {axis.dim_param: name for axis, name in zip(_axes(graph.input[0]), _AXES, strict=False) if axis.dim_param}
    for values in (*graph.input, *graph.output):
        for axis in _axes(values):
            if axis.dim_param in names:
                axis.dim_param = names[axis.dim_param]


def _axes(values: onnx.ValueInfoProto) -> list[Any]:
    return list(values.type.tensor_type.shape.dim)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what libraries say that no user can act on."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
