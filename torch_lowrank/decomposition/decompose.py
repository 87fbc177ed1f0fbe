"""Decomposition of all layers of a network, once for all ranks, taus and budgets of a sweep.

W = U S V^T. Truncation needs the singular values, the left factor U (m, k) and the right factor
S V^T = U^T W (k, n): the weight of rank r is the first r columns of U times the first r rows of U^T W.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from torch_lowrank.checks import check_network
from torch_lowrank.curvature.moments import WEIGHTINGS, Statistics
from torch_lowrank.decomposition.spectra import Spectra, Spectrum
from torch_lowrank.decomposition.svd import factorize, frobenius_norm
from torch_lowrank.decomposition.weighted_svd import factorize_weighted
from torch_lowrank.layers.eligibility import survey
from torch_lowrank.layers.unfolding import SCHEMES, folding_of, schemes_of, stored_weight
from torch_lowrank.modes import Device, exact_device, undisturbed
from torch_lowrank.progress import tracked

# On CUDA equal shapes go together, up to this many float64 (128 MB), so that memory does not grow with the network.
_LARGEST_BATCH = 2**24
_RISE = 0.5  # the loss rises by half of the squared norm of a change


@undisturbed()
def decompose(
    network: nn.Module,
    scheme: str = "channel",
    *,
    statistics: Statistics | None = None,
    weighting: str | None = None,
    device: Device = None,
) -> Spectra:
    """Decomposes the weight of every layer that can be factorised, each once, in float64.

    Args:
        network: Any network; it is not changed.
        scheme: How weights are unfolded: `channel`; `spatial`, which leaves layers that have no spatial scheme to
            `channel`; or `auto`, both where both apply, of which compression takes the better one layer by layer.
        statistics: Result of `collect_statistics` for this network. Layers are then decomposed in the norm of what a
            change does to the loss (squared tails predict its rise, and can be compared between layers), or to the
            layer's outputs.
        weighting: `none`, `activation` or `curvature`; None is what the statistics hold.
        device: Where to compute; None is where each weight lies. CUDA is used, for all other devices the CPU. The
            factors are returned on the weight's device.

    Raises:
        ValueError: If scheme or weighting is unknown or the statistics lack it, or a weight is not finite or has no
            values (device `meta`, or a lazy layer).
        TypeError: If the network is no module, or a `ScriptModule`.
    """
    check_network(network)
    if scheme not in (*SCHEMES, "auto"):
        raise ValueError(f"scheme is {scheme!r}; known are {', '.join(SCHEMES)} and auto")
    weighting = _check_weighting(weighting, statistics)
    found = survey(network)
    unseen = [] if weighting == "none" else [name for name in found.layers if name not in (statistics or {})]
    skipped = {**found.skipped, **dict.fromkeys(unseen, "no image of the statistics reached it")}
    chosen = {name: layer for name, layer in found.layers.items() if name not in skipped}
    wanted: list[tuple[str, str]] = []
    for name, layer in chosen.items():
        _check_values(name, layer)
        wanted += [(name, each) for each in schemes_of(layer, scheme)]
    done: dict[tuple[str, str], Spectrum] = {}
    for batch in tracked(list(_batches(chosen, wanted, device)), "decompose"):
        if statistics is None or weighting == "none":
            done.update(_decompose_batch(chosen, batch, device))
        else:
            done.update({key: _decompose_weighted(chosen, key, statistics, weighting, device) for key in batch})
    layers = {name: done[name, schemes_of(layer, scheme)[0]] for name, layer in chosen.items()}
    others = [key for key in wanted if layers[key[0]] is not done[key]]
    return Spectra(layers, skipped, {name: done[name, each] for name, each in others}, scheme, weighting)


def _check_weighting(weighting: str | None, statistics: Statistics | None) -> str:
    """Returns the weighting to use."""
    if weighting is None:
        return statistics.weighting if statistics is not None else "none"
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting is {weighting!r}; known are {', '.join(WEIGHTINGS)}")
    if weighting != "none" and (statistics is None or statistics.weighting not in (weighting, "curvature")):
        raise ValueError(f"weighting {weighting!r} needs statistics that were collected with it")
    return weighting


def _check_values(name: str, layer: nn.Module) -> None:
    for weight in layer.parameters():
        if weight.is_meta:
            raise ValueError(
                f"the weight of layer {name!r} is on the meta device, without values; load the network first"
            )
        if weight.ndim > 1 and not all(bound.isfinite() for bound in weight.detach().aminmax()):  # one pass, no copy
            raise ValueError(f"the weight of layer {name!r} is not finite; the network cannot be decomposed")


def _batches(
    layers: dict[str, nn.Module], wanted: list[tuple[str, str]], device: Device
) -> Iterator[list[tuple[str, str]]]:
    """Yields (layer, scheme) pairs to decompose together: on CUDA matrices of one shape, elsewhere single pairs."""
    waiting: dict[tuple[object, ...], list[tuple[str, str]]] = {}
    for name, scheme in wanted:
        layer = layers[name]
        shape = folding_of(layer, scheme).shape(layer)
        weight = stored_weight(layer)
        if exact_device(weight.device, device).type != "cuda":
            yield [(name, scheme)]
            continue
        batch = waiting.setdefault((*shape, weight.dtype, weight.get_device()), [])
        batch.append((name, scheme))
        if (len(batch) + 1) * math.prod(shape) > _LARGEST_BATCH:
            yield waiting.pop((*shape, weight.dtype, weight.get_device()))
    yield from waiting.values()


def _decompose_batch(
    layers: dict[str, nn.Module], batch: list[tuple[str, str]], device: Device
) -> dict[tuple[str, str], Spectrum]:
    """Decomposes matrices of one shape; the groups of a layer are neighbours in the batch."""
    weights = [folding_of(layers[name], scheme).matrix(layers[name]) for name, scheme in batch]
    place = exact_device(weights[0].device, device)
    exact = [weight.to(place, torch.float64) for weight in weights]
    matrices = torch.cat(exact) if len(exact) > 1 else exact[0]
    dtype = _factor_dtype(layers[batch[0][0]])
    parts = [part.split(len(weights[0])) for part in factorize(matrices, dtype)]
    spectra = {}
    for (name, scheme), weight, left, values, right in zip(batch, weights, *parts, strict=True):
        home = {"device": weight.device, "dtype": dtype, "memory_format": torch.contiguous_format}
        norm = float(frobenius_norm(values))
        combined = _without_noise(frobenius_norm(values, dim=0).cpu(), weight)
        spectra[name, scheme] = Spectrum(scheme, combined, _own(left.to(**home)), _own(right.to(**home)), norm)
    return spectra


def _decompose_weighted(
    layers: dict[str, nn.Module],
    key: tuple[str, str],
    statistics: Statistics,
    weighting: str,
    device: Device,
) -> Spectrum:
    """Decomposes one layer by one scheme in the norm of its moments."""
    (name, scheme), layer = key, layers[key[0]]
    weight = folding_of(layer, scheme).matrix(layer)
    place = exact_device(weight.device, device)
    rows, columns = statistics.of_layer(name, layer, weighting).to(place).weights(layer, scheme)
    left, values, right = factorize_weighted(weight.to(place, torch.float64), rows, columns)
    combined = frobenius_norm(values, dim=0).cpu() * _RISE**0.5
    norm = float(frobenius_norm(weight))
    left, right = (factor.to(weight.device, _factor_dtype(layer)).contiguous() for factor in (left, right))
    return Spectrum(scheme, combined, left, right, norm, absolute=weighting == "curvature")


def _factor_dtype(layer: nn.Module) -> torch.dtype:
    """Returns the weight's own type or float32: singular values of half precision's weights can be beyond its range."""
    return torch.promote_types(stored_weight(layer).dtype, torch.float32)


def _own(tensor: Tensor) -> Tensor:
    """Returns a copy where the tensor is a view that would keep a larger one in memory."""
    return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor


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
