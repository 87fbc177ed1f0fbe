"""A saved variant as MLflow opens and serves it: stored images in, probabilities out.

This file and what it imports travel with every MLflow model, under another package name; see `travelling_code`.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.networks.errors import code_of_others
from models.networks.imports import searched
from models.networks.recipe import module_of
from models.unet_inference import for_inference
from models.variant import Variant
from torch_lowrank.io import read_description

# Beside this package where it travels: the files of a network that is neither ours nor installed.
NETWORK_CODE = Path(__file__).parent.parent / "network_code"
DEFAULTS: Mapping[str, Any] = {"device": "cpu", "batch_size": 8}  # what `model_config` of MLflow may change
# One lock for all versions of this file in a process: `_own_module` changes `sys.modules`, and `for_inference` traces.
_opening: threading.Lock = vars(sys).setdefault("_lowrank_segmenter_opening", threading.Lock())


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
        logits = self._network(self._preprocessing(torch.from_numpy(np.array(images)).to(self._device))).float()
        if not bool(torch.isfinite(logits).all()):
            raise FloatingPointError("the network gives logits that are not finite for these images")
        return (logits.sigmoid() if self._classes == 1 else logits.softmax(1)).cpu().numpy()


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
    with _opening:
        if named is None:
            return Segmenter(Variant.load(folder), **config)
        with _own_module(module_of(named)):
            place = f"{NETWORK_CODE / named}" if ":" in named else named
            return Segmenter(Variant.load(folder, place), **config)


@contextlib.contextmanager
def _own_module(module: str) -> Iterator[None]:
    """Lets the module of a network's constructor be found by its name, where it travelled with this package.

    It is a module of this package, as all files are that travelled and what they import of each other, functions
    included: no other module of such a name is taken for it, nor it for another. Its own name is lent while the network
    is opened.
    """
    names = list(accumulate(module.split("."), "{}.{}".format))
    if not (NETWORK_CODE / f"{names[0]}.py").is_file() and not (NETWORK_CODE / names[0]).is_dir():
        yield  # an installed package
        return
    package = f"{__name__.partition('.')[0]}.{NETWORK_CODE.name}"
    with code_of_others(f"{module} cannot be imported"):
        importlib.import_module(f"{package}.{module}")
    others = {name: sys.modules[name] for name in names if name in sys.modules}
    try:
        sys.modules.update({name: sys.modules[f"{package}.{name}"] for name in names})
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(others)
        searched().get(str(NETWORK_CODE), set()).clear()
