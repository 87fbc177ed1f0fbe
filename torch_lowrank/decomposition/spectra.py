"""Spectra: one decomposition a layer, from which every rank of a sweep is cut."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

_PARTS = ("singular_values", "left", "right")


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """The decomposition of one layer's weight by one scheme.

    A layer with groups has one matrix a group, (m, n), k = min(m, n), and one rank for all of them.

    Attributes:
        scheme: How the weight was unfolded, `channel` or `spatial`.
        singular_values: (k,), float64, descending, on the CPU. With groups, the root of the sum of squares over the
            groups, so that the discarded tail is still the error. Values within the rounding of the weight's own
            dtype are 0, see `decompose._without_noise`.
        left: (groups, m, k), device and dtype of the weight, float32 for narrower ones; without weighting the columns
            are orthonormal.
        right: (groups, k, n), left @ right = W.
        norm: ||W||_F when it was decomposed; shows whether the weight was changed since.
        absolute: Whether squared singular values of different layers can be compared and added as they are, as in
            the norm of the loss; else each layer's count relative to their own sum.
    """

    scheme: str
    singular_values: Tensor
    left: Tensor
    right: Tensor
    norm: float
    absolute: bool = False

    @property
    def full_rank(self) -> int:
        """Number of singular values, k."""
        return self.singular_values.numel()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the unfolded weight, (groups, m, n)."""
        return self.left.shape[0], self.left.shape[1], self.right.shape[2]

    def relative_error(self, rank: int) -> float:
        """Returns ||W - W_r|| / ||W||, the discarded tail of the spectrum (Eckart and Young 1936).

        The norm is that of the decomposition, Frobenius' where it was not weighted.
        """
        values = self.singular_values
        largest = float(values[0])
        if largest == 0:
            return 0.0
        energy = (values / largest).square()
        return float((energy[rank:].sum() / energy.sum()).sqrt())


@dataclasses.dataclass(frozen=True)
class Spectra:
    """The spectra of a network's layers.

    Attributes:
        layers: Layer name to spectrum, in the order of the network. With `auto`, the one by the channel scheme.
        skipped: Layer name to the reason why the layer has no spectrum.
        alternatives: With `auto`, layer name to the spectrum by the spatial scheme, where that is another.
        scheme: The scheme asked for: `channel`, `spatial` or `auto`.
        weighting: The norm: `none` is Frobenius', `activation` and `curvature` are those of statistics.
    """

    layers: dict[str, Spectrum]
    skipped: dict[str, str]
    alternatives: dict[str, Spectrum] = dataclasses.field(default_factory=dict)
    scheme: str = "channel"
    weighting: str = "none"

    def options(self, name: str) -> tuple[Spectrum, ...]:
        """Returns the spectra of one layer, one for each scheme."""
        return (self.layers[name], *([self.alternatives[name]] if name in self.alternatives else []))

    def digest(self) -> str:
        """Returns a digest of the content, the same wherever and whenever it was computed."""
        content = hashlib.sha256(json.dumps([self.scheme, self.weighting, self.skipped]).encode())
        for key, spectrum in self._entries():
            content.update(f"{key} {spectrum.scheme} {spectrum.absolute}".encode())
            for part in _PARTS:
                content.update(_bytes(getattr(spectrum, part)))
        return content.hexdigest()

    def save(self, file: Path) -> None:
        """Writes everything to one safetensors file."""
        tensors, about = {}, {}
        for key, spectrum in self._entries():
            tensors.update({f"{key}:{part}": getattr(spectrum, part).contiguous() for part in _PARTS})
            about[key] = {"scheme": spectrum.scheme, "norm": spectrum.norm, "absolute": spectrum.absolute}
        save_file(tensors, file, {key: json.dumps(value) for key, value in self._header(about).items()})

    @classmethod
    def load(cls, file: Path) -> Spectra:
        """Reads what `save` wrote.

        Raises:
            ValueError: If the file is missing, damaged or is something else.
        """
        try:
            with safe_open(file, "pt") as stored:
                header = {key: json.loads(value) for key, value in (stored.metadata() or {}).items()}
                found = {
                    key: Spectrum(**about, **{part: stored.get_tensor(f"{key}:{part}") for part in _PARTS})
                    for key, about in header["spectra"].items()
                }
            layers = {name: found[f"{name}:0"] for name in header["layers"]}
            alternatives = {name: found[f"{name}:1"] for name in header["alternatives"]}
            return cls(layers, header["skipped"], alternatives, header["scheme"], header["weighting"])
        except (OSError, SafetensorError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{file} holds no spectra that can be read ({error}); decompose the network again"
            ) from error

    def _entries(self) -> Iterator[tuple[str, Spectrum]]:
        yield from ((f"{name}:0", spectrum) for name, spectrum in self.layers.items())
        yield from ((f"{name}:1", spectrum) for name, spectrum in self.alternatives.items())

    def _header(self, about: dict[str, dict]) -> dict[str, object]:
        layers, alternatives = list(self.layers), list(self.alternatives)
        names = {"layers": layers, "alternatives": alternatives}
        how = {"scheme": self.scheme, "weighting": self.weighting}
        return {**how, "skipped": self.skipped, "spectra": about, **names}


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().view(-1)  # an axis of size 1 may have any stride, which bytes may not
    return flat.view(torch.uint8).numpy().tobytes()
