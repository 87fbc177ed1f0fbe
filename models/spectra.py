"""Spectra: every layer decomposed once, for all ranks, taus and budgets of a sweep.

W = U S V^T. What truncation needs are the singular values, the left factor U (m, k) and the right factor
S V^T = U^T W (k, n): rank r is the first r columns of the one times the first r rows of the other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models.eligibility import survey
from models.lowrank import SCHEMES, folding_of, schemes_of
from models.svd import factorize, frobenius_norm

# On CUDA equal shapes go together, up to this many float64 (128 MB), so that memory does not grow with the network.
_LARGEST_BATCH = 2**24
_PARTS = ("singular_values", "left", "right")


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """The decomposition of one layer's weight by one scheme.

    A layer with groups has one matrix a group, (m, n), k = min(m, n), and one rank for all of them.

    Attributes:
        scheme: How the weight was unfolded, `channel` or `spatial`.
        singular_values: (k,), float64, descending, on the CPU. With groups, the root of the sum of squares over the
            groups, so that the discarded tail is still the error. Values within the rounding of the weight's own
            dtype are 0, see `_without_noise`.
        left: (groups, m, k), orthonormal columns, dtype and device of the weight.
        right: (groups, k, n), left @ right = W.
        norm: ||W||_F when it was decomposed; by it a weight that was changed since is told.
        absolute: Squared singular values of different layers may be compared and added as they are, since they are
            in a norm that allows it; else each layer's count relative to their own sum.
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
    def params_per_rank(self) -> int:
        """Parameters that one more rank costs, (m + n) in every group."""
        return self.left.shape[0] * (self.left.shape[1] + self.right.shape[2])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the unfolded weight, (groups, m, n)."""
        return self.left.shape[0], self.left.shape[1], self.right.shape[2]

    def relative_error(self, rank: int) -> float:
        """Returns ||W - W_r||_F / ||W||_F, the discarded tail of the spectrum (Eckart and Young 1936)."""
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
    """

    layers: dict[str, Spectrum]
    skipped: dict[str, str]
    alternatives: dict[str, Spectrum] = dataclasses.field(default_factory=dict)
    scheme: str = "channel"

    def options(self, name: str) -> tuple[Spectrum, ...]:
        """Returns the spectra of one layer, one for each scheme."""
        return (self.layers[name], *([self.alternatives[name]] if name in self.alternatives else []))

    def digest(self) -> str:
        """Returns a digest of the content, the same wherever and whenever it was computed."""
        content = hashlib.sha256(json.dumps([self.scheme, self.skipped]).encode())
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
            return cls(layers, header["skipped"], alternatives, header["scheme"])
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
        return {"scheme": self.scheme, "skipped": self.skipped, "spectra": about, **names}


def decompose(
    network: nn.Module, scheme: str = "channel", device: str | torch.device | None = None, *, progress: bool = False
) -> Spectra:
    """Decomposes the weight of every layer that can be factorised, each once, in float64.

    Args:
        network: Any network; it is not changed.
        scheme: How weights are unfolded: `channel`; `spatial`, which leaves layers that have no spatial scheme to
            `channel`; or `auto`, both where both apply, of which compression takes the better one layer by layer.
        device: Where to compute; None is where each weight lies. The factors come back to where the weight lies.
        progress: Shows a progress bar.

    Raises:
        ValueError: If the scheme is unknown, or a weight is not finite or has no values (device `meta`).
    """
    if scheme not in (*SCHEMES, "auto"):
        raise ValueError(f"scheme is {scheme!r}; known are {', '.join(SCHEMES)} and auto")
    found = survey(network)
    wanted: list[tuple[str, str]] = []
    for name, layer in found.layers.items():
        _check_values(name, layer)
        wanted += [(name, each) for each in schemes_of(layer, scheme)]
    done: dict[tuple[str, str], Spectrum] = {}
    with Progress(console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task("decompose", total=len(wanted))
        for batch in _batches(found.layers, wanted, device):
            done.update(_decompose_batch(found.layers, batch, device))
            bar.advance(task, len(batch))
    layers = {name: done[name, schemes_of(layer, scheme)[0]] for name, layer in found.layers.items()}
    others = [key for key in wanted if layers[key[0]] is not done[key]]
    return Spectra(layers, found.skipped, {name: done[name, each] for name, each in others}, scheme)


def _check_values(name: str, layer: nn.Module) -> None:
    weight = layer.get_parameter("weight").detach()
    if weight.is_meta:
        raise ValueError(f"the weight of layer {name!r} is on the meta device, without values; load the network first")
    if not all(bound.isfinite() for bound in weight.aminmax()):  # one pass, no copy
        raise ValueError(f"the weight of layer {name!r} is not finite; the network cannot be decomposed")


def _batches(
    layers: dict[str, nn.Module], wanted: list[tuple[str, str]], device: str | torch.device | None
) -> Iterator[list[tuple[str, str]]]:
    """Yields what is decomposed together: on CUDA matrices of one shape, elsewhere layer by layer."""
    waiting: dict[tuple[int, ...], list[tuple[str, str]]] = {}
    for name, scheme in wanted:
        layer = layers[name]
        shape = tuple(folding_of(layer, scheme).matrix(layer).shape)
        weight = layer.get_parameter("weight")
        if _place(weight, device).type != "cuda":
            yield [(name, scheme)]
            continue
        batch = waiting.setdefault((*shape, weight.get_device()), [])
        batch.append((name, scheme))
        if (len(batch) + 1) * weight.numel() > _LARGEST_BATCH:
            yield waiting.pop((*shape, weight.get_device()))
    yield from waiting.values()


def _decompose_batch(
    layers: dict[str, nn.Module], batch: list[tuple[str, str]], device: str | torch.device | None
) -> dict[tuple[str, str], Spectrum]:
    """Decomposes matrices of one shape; a layer's groups lie side by side in the batch."""
    weights = [folding_of(layers[name], scheme).matrix(layers[name]) for name, scheme in batch]
    place = _place(weights[0], device)
    exact = [weight.to(place, torch.float64) for weight in weights]
    matrices = torch.cat(exact) if len(exact) > 1 else exact[0]
    dtype = torch.promote_types(weights[0].dtype, torch.float32)
    parts = [part.split(len(weights[0])) for part in factorize(matrices, dtype)]
    spectra = {}
    for (name, scheme), weight, left, values, right in zip(batch, weights, *parts, strict=True):
        home = {"device": weight.device, "dtype": weight.dtype, "memory_format": torch.contiguous_format}
        norm = float(frobenius_norm(values))
        combined = _without_noise(frobenius_norm(values, dim=0).cpu(), weight)
        spectra[name, scheme] = Spectrum(scheme, combined, _own(left.to(**home)), _own(right.to(**home)), norm)
    return spectra


def _own(tensor: Tensor) -> Tensor:
    """Returns a tensor that does not keep the memory of a larger one."""
    return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor


def _place(weight: Tensor, device: str | torch.device | None) -> torch.device:
    """Returns where to compute; devices without float64 or eigenvectors leave it to the CPU."""
    place = weight.device if device is None else torch.device(device)
    return place if place.type == "cuda" else torch.device("cpu")


def _without_noise(values: Tensor, weight: Tensor) -> Tensor:
    """Returns the singular values with those set to 0 that rounding the weight to its dtype may have made.

    Rounding adds to each of the m x n entries a random error of at most eps / 2 of it. The largest singular value of
    such noise is about 0.2 eps ||W||_F (1/sqrt(m) + 1/sqrt(n)); five times that is cut off, and what float64 itself
    may add, max(m, n) eps s_1. Without this the entropy of a weight of rank 1 would be that of its rounding errors,
    and its rank nearly full.
    """
    rows, columns = weight.shape[1:]
    # float64 layers often hold what was computed in float32
    as_float32 = weight.dtype == torch.float64 and torch.equal(weight.float().double(), weight)
    eps = torch.finfo(torch.float32 if as_float32 else weight.dtype).eps
    noise = eps * (rows**-0.5 + columns**-0.5) * frobenius_norm(values)
    noise = noise.clamp_min(max(rows, columns) * torch.finfo(torch.float64).eps * float(values[0]))
    return torch.where(values > noise, values, 0.0)


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
