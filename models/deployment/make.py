"""Makes the files of a variant, format by format."""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch

from models.deployment.coded_weights import store_codes
from models.deployment.deployed import Deployed, folded
from models.deployment.errors import ExportError, export_errors
from models.deployment.layout import PLACES
from models.deployment.monai_bundle import bundle_files
from models.deployment.onnx_files import onnx_model
from models.deployment.options import Format
from models.deployment.sizes import Sizes, traced
from models.deployment.static_int8 import static_int8
from models.variant import Variant
from torch_lowrank.modes import undisturbed
from torch_lowrank.quantization.coding import codings
from torch_lowrank.quantization.quantize import quantize_weights

_CALIBRATION_BATCH = 8
_PREFIX = "network."  # of the network's tensors in a `Deployed`
_Traced = tuple[torch.export.ExportedProgram, Sizes]


@dataclasses.dataclass(frozen=True)
class Made:
    """The files of one format.

    Attributes:
        files: File name, relative to the variant's folder of exports, to content.
        sizes: Which images they take.
    """

    files: dict[str, bytes]
    sizes: Sizes


class Maker:
    """Makes files of one variant; what several formats need is computed once.

    Args:
        variant: The network, on the CPU.
        calibration: Training images uint8 (N, H, W, C), all of the size that the network was trained with.
        labels: Names of the labels that are not background, by their number.
    """

    def __init__(self, variant: Variant, calibration: np.ndarray, labels: Sequence[str]) -> None:
        self._variant = variant
        self._calibration = calibration
        self._labels = labels

    @undisturbed()
    def make(self, kind: Format) -> Made:
        """Makes the files of a format.

        Raises:
            ExportError: The network cannot be stored so; the message says why.
            OSError: The disk is full, or the like; errors that tell of too little memory are not changed, either.
        """
        makers: dict[Format, Callable[[], Made]] = {
            "onnx": self._onnx,
            "onnx_w8": self._onnx_w8,
            "onnx_int8": self._onnx_int8,
            "pt2": self._pt2,
            "monai_bundle": self._bundle,
        }
        with export_errors(f"{kind} cannot be made of {self._variant.name}"):
            return makers[kind]()

    def _onnx(self) -> Made:
        """In float32; weights that the variant has in few bits are stored so."""
        return self._with_codes("onnx", self._variant.network, least=0)

    def _onnx_w8(self) -> Made:
        """The same with all weights in 8 bits, or as the variant has them where it has some in as few."""
        network = self._variant.network
        in_few = any(coding.scale is not None for coding in codings(network).values())
        return self._with_codes("onnx_w8", network if in_few else quantize_weights(network, 8), least=1)

    def _with_codes(self, kind: Format, network: torch.nn.Module, least: int) -> Made:
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        if store_codes(model, network, self._variant.network, _PREFIX) < least:
            raise ExportError("none of its weights can be stored in few bits; use onnx, or onnx_int8")
        return Made({PLACES[kind]: model.SerializeToString()}, self._plain[1])

    def _onnx_int8(self) -> Made:
        size = _CALIBRATION_BATCH if self._plain[1].batch else 1
        batches = (
            np.ascontiguousarray(self._calibration[first : first + size])
            for first in range(0, len(self._calibration), size)
        )
        return Made({PLACES["onnx_int8"]: static_int8(self._model, batches)}, self._plain[1])

    def _pt2(self) -> Made:
        content, sizes = self._program
        return Made({PLACES["pt2"]: content}, sizes)

    def _bundle(self) -> Made:
        content, sizes = self._program
        files = bundle_files(self._variant, self._labels, content, sizes)
        return Made({f"{PLACES['monai_bundle']}/{name}": file for name, file in files.items()}, sizes)

    @functools.cached_property
    def _plain(self) -> _Traced:
        """As the network is: the exporter makes BatchNorm part of convolutions, and codes must be found again."""
        return self._trace(self._variant.network)

    @functools.cached_property
    def _model(self) -> onnx.ModelProto:
        return onnx_model(self._plain[0], self._about)

    @functools.cached_property
    def _program(self) -> tuple[bytes, Sizes]:
        program, sizes = self._trace(folded(self._variant.network))
        file = io.BytesIO()
        torch.export.save(program, file)
        return file.getvalue(), sizes

    @property
    def _about(self) -> dict[str, Any]:
        return {
            "variant": self._variant.name,
            "labels": list(self._labels),
            "preprocessing": dataclasses.asdict(self._variant.preprocessing),
        }

    def _trace(self, network: torch.nn.Module) -> _Traced:
        module = Deployed(network, self._variant.preprocessing, self._variant.classes).eval()
        height, width, channels = self._calibration.shape[1:]
        return traced(module, (height, width), channels)
