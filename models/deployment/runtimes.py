"""Opens exported files as their users do, each in its own runtime."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from models.deployment.errors import export_errors
from models.deployment.layout import BUNDLE, INFERENCE, PLACES
from models.deployment.onnx_files import INPUT
from models.deployment.options import Format

Run = Callable[[np.ndarray], np.ndarray]
"""Maps images uint8 (N, H, W, C) to probabilities float32 (N, classes, H, W)."""

# ONNX Runtime multiplies weights in few bits by their scales once, when it loads the file, and not in every run.
WEIGHTS_ONCE = ("session.disable_quant_qdq", "1")


def opened(kind: Format, folder: Path, threads: int) -> Run:
    """Opens a file on the CPU.

    Args:
        kind: The format.
        folder: The variant's folder of exports.
        threads: That ONNX Runtime computes with; PyTorch's are those of the process.

    Raises:
        ExportError: The runtime cannot open it; the message begins as the runtime's.
    """
    place = folder / PLACES[kind]
    openers: dict[Format, Callable[[], Run]] = {
        "onnx": lambda: _session(place, threads, WEIGHTS_ONCE),
        "onnx_w8": lambda: _session(place, threads, WEIGHTS_ONCE),
        "onnx_int8": lambda: _session(place, threads),
        "pt2": lambda: _program(place),
        "monai_bundle": lambda: _bundle(folder / BUNDLE),
    }
    with export_errors(f"{kind} cannot be opened again", folder):
        return openers[kind]()


def _session(file: Path, threads: int, *entries: tuple[str, str]) -> Run:
    import onnxruntime  # noqa: PLC0415 - where it is used

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    for name, value in entries:
        options.add_session_config_entry(name, value)
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {INPUT: images})[0]


def _program(file: Path) -> Run:
    return functools.partial(run_module, torch.export.load(file).module())


def _bundle(folder: Path) -> Run:
    """Returns the network that the bundle's own configuration makes, by MONAI."""
    from monai.bundle import ConfigParser  # noqa: PLC0415 - seconds, for bundles alone

    parser = ConfigParser()
    parser.read_config(str(folder / INFERENCE))
    parser["bundle_root"] = str(folder)
    return functools.partial(run_module, parser.get_parsed_content("network"))


def run_module(network: Callable[[torch.Tensor], torch.Tensor], images: np.ndarray) -> np.ndarray:
    """Returns what a network of PyTorch gives for images."""
    with torch.inference_mode():
        return network(torch.from_numpy(images)).numpy()
