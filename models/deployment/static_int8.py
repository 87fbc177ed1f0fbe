"""ONNX models that compute in 8 bits, weights and activations, by ONNX Runtime's static quantisation."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from models.deployment.onnx_files import INPUT

# What computes. What only moves values (pooling, concatenation) would round once more and save little.
_OPERATORS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]


class _Batches(CalibrationDataReader):
    """Images as ONNX Runtime reads them for calibration."""

    def __init__(self, batches: Iterable[np.ndarray]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Returns the next batch by the name of the input, None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def static_int8(model: onnx.ModelProto, batches: Iterable[np.ndarray]) -> bytes:
    """Returns a model in 8 bits: weights with a scale a filter, activations with the range that images give.

    Args:
        model: In float32, of `onnx_files.onnx_model`.
        batches: Images uint8 (N, H, W, C), as in use; the range of each activation is that of its values for them.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        full, prepared, made = (Path(folder, f"{name}.onnx") for name in ("full", "prepared", "int8"))
        onnx.save(model, full)
        quant_pre_process(full, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            made,
            _Batches(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QInt8,
            op_types_to_quantize=_OPERATORS,
        )
        return made.read_bytes()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences ONNX Runtime's quantisation, which prints and logs what no user can act on."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
