"""A saved variant as MLflow opens and serves it: stored images in, probabilities out.

This file and what it imports travel with every MLflow model, under another package name; see `travelling_code`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.networks.imports import search
from models.unet_inference import for_inference
from models.variant import Variant
from torch_lowrank.io import read_description

# Beside this package where it travels: the files of a network that is neither ours nor installed.
NETWORK_CODE = Path(__file__).parent.parent / "network_code"
DEFAULTS: Mapping[str, Any] = {"device": "cpu", "batch_size": 8}  # what `model_config` of MLflow may change


class Segmenter:
    """Predicts with a variant's network, as fast as it runs (`for_inference`).

    Args:
        variant: The variant.
        device: Where to compute, for example `cpu` or `cuda`.
        batch_size: Images a forward pass.

    Raises:
        ValueError: `batch_size` is no whole number of at least 1.
    """

    def __init__(self, variant: Variant, device: str = "cpu", batch_size: int = 8) -> None:
        if type(batch_size) is not int or batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}; give a whole number of at least 1")
        self._network = for_inference(variant.network).to(device).eval()
        self._preprocessing, self._classes = variant.preprocessing, variant.classes
        self._device, self._batch_size = torch.device(device), batch_size

    @torch.inference_mode()
    def predict(self, images: np.ndarray) -> np.ndarray:
        """Maps stored images uint8 (N, H, W, C) to probabilities float32 (N, classes, H, W).

        With one class these are of the foreground: a mask is `probabilities[:, 0] > 0.5`. With several they sum to 1:
        a mask is `probabilities.argmax(1)`.

        Raises:
            ValueError: The images are not uint8 of four dimensions, or have other channels than the network takes.
            FloatingPointError: The network gives logits that are not finite.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ValueError(f"images are {images.dtype} of shape {images.shape}; give uint8 (N, H, W, C)")
        parts = [self._probabilities(images[at : at + self._batch_size]) for at in self._starts(len(images))]
        return np.concatenate(parts) if parts else np.zeros((0, self._classes, *images.shape[1:3]), np.float32)

    def _starts(self, number: int) -> range:
        return range(0, number, self._batch_size)

    def _probabilities(self, images: np.ndarray) -> np.ndarray:
        logits = self._network(self._preprocessing(torch.from_numpy(np.array(images)).to(self._device)))
        if not bool(torch.isfinite(logits).all()):
            raise FloatingPointError("the network gives logits that are not finite for these images")
        return (logits.sigmoid() if self._classes == 1 else logits.softmax(1)).float().cpu().numpy()


def _load_pyfunc(folder: str, model_config: Mapping[str, Any] | None = None) -> Segmenter:
    """Opens a saved variant; MLflow calls this, by this name.

    The constructor that `network.json` names is called, as the folder came with the code that is running.

    Args:
        folder: Where `network.json` and `weights.safetensors` are.
        model_config: `device` and `batch_size` where they are not the `DEFAULTS`.

    Raises:
        ValueError: `model_config` has other names than these.
    """
    config = {**DEFAULTS, **(model_config or {})}
    if unknown := sorted({*config} - {*DEFAULTS}):
        raise ValueError(f"model_config has {', '.join(unknown)}; known are {', '.join(DEFAULTS)}")
    named = read_description(folder)["about"].get("network", {}).get("name")
    with _own_modules(NETWORK_CODE):
        allowed = [] if named is None else [f"{NETWORK_CODE / named}" if ":" in named else named]
        return Segmenter(Variant.load(folder, allowed), **config)


@contextlib.contextmanager
def _own_modules(folder: Path) -> Iterator[None]:
    """Imports the modules of a folder from there, although the process may have others of their names, which it keeps.

    So two versions of a network can be open at once.
    """
    names = {file.stem for file in folder.iterdir() if not file.name.startswith("__")} if folder.is_dir() else set()
    others = {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] in names}
    search({str(folder): names})  # for what is imported later, within functions
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.update(others)
