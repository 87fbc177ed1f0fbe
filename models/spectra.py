"""Spectra: every layer decomposed once, for all ranks, taus and budgets of a sweep.

W = U S V^T. What truncation needs are the singular values, the left factor U (m, k) and the right factor
S V^T = U^T W (k, n): rank r is the first r columns of the one times the first r rows of the other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import torch
from rich.progress import track
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models.lowrank import FACTORIZABLE, SCHEMES, folding_of, why_not


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """The decomposition of one layer's weight matrix W (m, n), k = min(m, n).

    Attributes:
        scheme: How the weight was unfolded.
        singular_values: (k,), float64, descending, on the CPU.
        left: (m, k), orthonormal columns, dtype and device of the weight.
        right: (k, n), left @ right = W.
    """

    scheme: str
    singular_values: Tensor
    left: Tensor
    right: Tensor

    @property
    def full_rank(self) -> int:
        """Number of singular values, k."""
        return self.singular_values.numel()

    @property
    def params_per_rank(self) -> int:
        """Parameters that one more rank costs, m + n."""
        return self.left.shape[0] + self.right.shape[1]

    def relative_error(self, rank: int) -> float:
        """Returns ||W - W_r||_F / ||W||_F, the discarded tail of the spectrum (Eckart and Young 1936)."""
        energy = self.singular_values.square()
        total = float(energy.sum())
        return float((energy[rank:].sum() / total).sqrt()) if total > 0 else 0.0


@dataclasses.dataclass(frozen=True)
class Spectra:
    """The spectra of a network's layers.

    Attributes:
        layers: Layer name to spectrum, in the order of the network.
        skipped: Layer name to the reason why the layer has no spectrum.
    """

    layers: dict[str, Spectrum]
    skipped: dict[str, str]

    def digest(self) -> str:
        """Returns a digest of the content, the same wherever and whenever it was computed."""
        content = hashlib.sha256(json.dumps(self.skipped).encode())
        for name, spectrum in self.layers.items():
            content.update(f"{name} {spectrum.scheme}".encode())
            for tensor in (spectrum.singular_values, spectrum.left, spectrum.right):
                content.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return content.hexdigest()

    def save(self, file: Path) -> None:
        """Writes everything to one safetensors file."""
        tensors = {}
        for name, spectrum in self.layers.items():
            tensors[f"{name}:singular_values"] = spectrum.singular_values
            tensors[f"{name}:left"] = spectrum.left.contiguous()
            tensors[f"{name}:right"] = spectrum.right.contiguous()
        schemes = {name: spectrum.scheme for name, spectrum in self.layers.items()}
        save_file(tensors, file, {"schemes": json.dumps(schemes), "skipped": json.dumps(self.skipped)})

    @classmethod
    def load(cls, file: Path) -> Spectra:
        """Reads what `save` wrote.

        Raises:
            ValueError: If the file is damaged or is something else.
        """
        try:
            with safe_open(file, "pt") as stored:
                about = stored.metadata() or {}
                layers = {
                    name: Spectrum(
                        scheme, *(stored.get_tensor(f"{name}:{part}") for part in ("singular_values", "left", "right"))
                    )
                    for name, scheme in json.loads(about["schemes"]).items()
                }
                return cls(layers, json.loads(about["skipped"]))
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{file} holds no spectra that can be read ({error}); decompose the network again"
            ) from error


def decompose(
    network: nn.Module, scheme: str = "channel", device: str | torch.device | None = None, *, progress: bool = False
) -> Spectra:
    """Decomposes the weight of every layer that can be factorised, each once.

    Args:
        network: Any network; it is not changed.
        scheme: How weights are unfolded; one of `lowrank.SCHEMES`.
        device: Where to compute; None is where each weight lies. The factors come back to where the weight lies.
        progress: Shows a progress bar.

    Raises:
        ValueError: If the scheme is unknown, or a weight is not finite.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme is {scheme!r}; known are {', '.join(SCHEMES)}")
    layers: dict[str, Spectrum] = {}
    skipped: dict[str, str] = {}
    candidates = [(name, module) for name, module in network.named_modules() if isinstance(module, FACTORIZABLE)]
    for name, layer in track(candidates, "decompose", disable=not progress):
        reason = why_not(layer)
        if reason:
            skipped[name] = reason
            continue
        weight = folding_of(layer, scheme).matrix(layer)
        if not weight.isfinite().all():
            raise ValueError(f"the weight of layer {name!r} is not finite; the network cannot be decomposed")
        layers[name] = _spectrum(weight, scheme, torch.device(device) if device is not None else weight.device)
    return Spectra(layers, skipped)


def _spectrum(weight: Tensor, scheme: str, device: torch.device) -> Spectrum:
    matrix = weight.to(device, torch.float64)
    left, values = _left_svd(matrix)
    right = left.T @ matrix
    place = {"device": weight.device, "dtype": weight.dtype}
    return Spectrum(scheme, values.cpu(), left.to(**place), right.to(**place))


def _left_svd(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Returns U (m, k) and s (k,) in float64.

    On CUDA by `torch.linalg.svd`. On the CPU through the eigenvectors of the smaller Gram matrix, many times faster
    for the wide matrices of convolutions: U stays orthonormal to machine precision, so U U^T W is as exact as with
    LAPACK's SVD; singular values below 1e-8 of the largest are lost in rounding, as they would be in float32.
    """
    if matrix.is_cuda:
        u, s, _ = torch.linalg.svd(matrix, full_matrices=False)
        return u, s
    rows, columns = matrix.shape
    if rows <= columns:
        eigenvalues, u = torch.linalg.eigh(matrix @ matrix.T)
        return u.flip(1), eigenvalues.flip(0).clamp_min(0).sqrt()
    u, triangle = torch.linalg.qr(matrix)
    inner, s = _left_svd(triangle)
    return u @ inner, s
