"""Which files to deploy there are. Light: the configuration reads it before libraries are imported."""

from __future__ import annotations

from typing import Literal, get_args

Format = Literal["onnx", "onnx_w8", "onnx_int8", "pt2", "monai_bundle"]
FORMATS: tuple[Format, ...] = get_args(Format)
