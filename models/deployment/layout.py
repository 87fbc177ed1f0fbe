"""Where exported files lie in a variant's folder of exports."""

from __future__ import annotations

from models.deployment.options import Format

EXPORTS = "export"  # in the folder of results; below it a folder for the variant
RECORD = "export.json"  # in that one, by which it is known
BUNDLE = "monai_bundle"
PROGRAM = "models/model.pt2"  # in a bundle
INFERENCE = "configs/inference.json"
PLACES: dict[Format, str] = {
    "onnx": "model.onnx",
    "onnx_w8": "model_w8.onnx",
    "onnx_int8": "model_int8.onnx",
    "pt2": "model.pt2",
    "monai_bundle": BUNDLE,
}
