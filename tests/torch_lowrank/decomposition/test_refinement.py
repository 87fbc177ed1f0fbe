"""Refined factors of the spatial scheme against the exact error, in float64, that the decomposition approximates."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torch_lowrank.curvature.moments import Moments, Statistics, positive
from torch_lowrank.curvature.patches import input_vectors, output_vectors
from torch_lowrank.decomposition import refine as refining
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.decomposition.refine import refine
from torch_lowrank.layers.factorized import folding_of

CASES = {
    "Conv2d": lambda: nn.Conv2d(6, 8, 3, padding=1),
    "Conv2d, large kernel": lambda: nn.Conv2d(4, 6, (5, 4)),
    "Conv2d, strided": lambda: nn.Conv2d(6, 8, 3, stride=2, padding=1),
    "Conv2d, groups": lambda: nn.Conv2d(8, 12, 3, padding=1, groups=2),
    "Conv3d": lambda: nn.Conv3d(4, 6, 3, padding=1),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1),
    "ConvTranspose2d, groups": lambda: nn.ConvTranspose2d(8, 6, 2, stride=2, groups=2),
}


def smooth(values):
    """Noise in which neighbours say nearly the same, as in images."""
    pool = F.avg_pool2d if values.ndim == 4 else F.avg_pool3d
    return pool(values, 3, 1)


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """A layer, its moments from smooth inputs and gradients, and its spectrum by the spatial scheme."""
    torch.manual_seed(0)
    layer = CASES[request.param]().requires_grad_(False)
    axes = len(layer.kernel_size)
    mix = torch.randn(layer.in_channels, layer.in_channels)
    size = 14 if axes == 2 else 9
    values = torch.einsum("ij,nj...->ni...", mix, torch.randn(8, layer.in_channels, *[size] * axes))
    values = smooth(values)
    gradient = smooth(F.pad(torch.randn_like(layer(values)), [1] * 2 * axes))
    inputs = input_vectors(layer, values, 10**6, 0)
    outputs = output_vectors(layer, gradient, values.shape[2:], 10**6, 0)
    moments = Moments(inputs @ inputs.mT / inputs.shape[2], outputs @ outputs.mT / len(values))
    return layer, moments, spectrum_of(layer, moments)


def spectrum_of(layer, moments, scheme="spatial"):
    statistics = Statistics({"": moments}, "curvature", 8)
    return decompose(layer, scheme, statistics=statistics).layers[""]


def cut(spectrum, rank):
    return spectrum.left[:, :, :rank], spectrum.right[:, :rank]


def exact_error(layer, scheme, left, right, moments):
    """tr(R D C D^T) / tr(R W C W^T) for the weight that the factors stand for, float64."""
    rows, columns = moments.damped(layer)
    folding, channel = folding_of(layer, scheme), folding_of(layer, "channel")
    dense = folding.dense_weight(layer, *folding.weights(layer, left.double(), right.double()))
    weight = channel.matrix(layer).double()
    change = channel.unfold(dense, len(weight)) - weight
    return ((rows @ change @ columns) * change).sum() / ((rows @ weight @ columns) * weight).sum()


def test_refined_factors_have_a_lower_exact_error(case):
    layer, moments, spectrum = case
    for rank in range(1, spectrum.full_rank):
        factors = cut(spectrum, rank)
        before = float(exact_error(layer, "spatial", *factors, moments))
        after = float(exact_error(layer, "spatial", *refine(layer, "spatial", *factors, moments, "cpu"), moments))
        assert after < before * 0.999 or before < 1e-7
        assert after <= before * (1 + 1e-6) + 1e-9


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")
def test_on_cuda_refined_factors_are_as_good(case):
    layer, moments, spectrum = case
    for rank in range(1, spectrum.full_rank):
        factors = cut(spectrum, rank)
        here, there = (
            float(exact_error(layer, "spatial", *refine(layer, "spatial", *factors, moments, device), moments))
            for device in ("cpu", "cuda")
        )
        assert there == pytest.approx(here, rel=0.05, abs=1e-6)


def test_factors_keep_shape_and_type(case):
    layer, moments, spectrum = case
    factors = cut(spectrum, 2)
    before = copy.deepcopy(factors)
    refined = refine(layer, "spatial", *factors, moments, "cpu")
    assert [each.shape for each in refined] == [each.shape for each in factors]
    assert all(each.dtype == torch.float32 and not each.requires_grad for each in refined)
    assert all(torch.equal(one, other) for one, other in zip(factors, before, strict=True))


def test_full_rank_stays_exact(case):
    layer, moments, spectrum = case
    left, right = refine(layer, "spatial", spectrum.left, spectrum.right, moments, "cpu")
    torch.testing.assert_close(left @ right, folding_of(layer, "spatial").matrix(layer), rtol=0, atol=1e-4)


def test_the_channel_scheme_is_left_alone(case):
    layer, moments, _ = case
    factors = cut(spectrum_of(layer, moments, "channel"), 2)
    refined = refine(layer, "channel", *factors, moments, "cpu")
    assert all(one is other for one, other in zip(refined, factors, strict=True))


def test_a_decomposition_by_the_channel_scheme_cannot_be_refined():
    """The error that is minimised is the one of which that decomposition is the minimum."""
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 3, dtype=torch.float64).requires_grad_(False)
    vectors = torch.randn(1, 36, 100), torch.randn(1, 6, 100)
    moments = Moments(*(each @ each.mT / 100 for each in vectors))
    left, right = cut(spectrum_of(layer, moments, "channel"), 2)
    best = minimum(layer, "channel", left, right, moments)
    assert best >= float(exact_error(layer, "channel", left, right, moments)) * (1 - 1e-9)


def minimum(layer, scheme, left, right, moments, steps=400):
    """The error after a long L-BFGS in float64."""
    factors = [each.double().clone().requires_grad_() for each in (left, right)]
    optimizer = torch.optim.LBFGS(
        factors,
        max_iter=steps,
        history_size=50,
        tolerance_grad=1e-12,
        tolerance_change=1e-13,
        line_search_fn="strong_wolfe",
    )

    def error():
        optimizer.zero_grad()
        value = exact_error(layer, scheme, *factors, moments)
        value.backward()
        return value

    optimizer.step(error)
    return float(error().detach())


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_refinement_comes_near_the_best_of_several_starts(rank):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
    values, gradient = smooth(torch.randn(8, 3, 14, 14)), smooth(torch.randn(8, 4, 14, 14))
    inputs, outputs = input_vectors(layer, values, 10**6, 0), output_vectors(layer, gradient, (12, 12), 10**6, 0)
    moments = Moments(inputs @ inputs.mT / inputs.shape[2], outputs @ outputs.mT / 8)
    start = cut(spectrum_of(layer, moments), rank)
    got = float(exact_error(layer, "spatial", *refine(layer, "spatial", *start, moments, "cpu"), moments))
    found = [minimum(layer, "spatial", *start, moments)]
    found += [minimum(layer, "spatial", *map(torch.randn_like, start), moments) for _ in range(3)]
    assert got <= 1.02 * min(found)  # measured: 1.000003 at most; the decomposition alone has 1.03, 1.22 and 1.36


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("zero", ["inputs", "gradients", "both", "half of the channels", "weight", "no rows", "tiny"])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_degenerate_moments_give_finite_factors(kind, zero, dtype):
    torch.manual_seed(0)
    layer = kind(4, 6, 3, dtype=dtype).requires_grad_(False)
    groups, height, width = folding_of(layer, "channel").matrix(layer).shape
    inputs, outputs = torch.randn(groups, width, 50), torch.randn(groups, height, 50)
    if zero in ("inputs", "both"):
        inputs.zero_()
    if zero in ("gradients", "both"):
        outputs.zero_()
    if zero == "half of the channels":
        inputs[:, ::2], outputs[:, ::2] = 0, 0
    if zero == "weight":
        layer.weight.zero_()
    if zero == "tiny":
        outputs *= 1e-6
    moments = Moments(inputs @ inputs.mT / 50, None if zero == "no rows" else outputs @ outputs.mT / 50)
    spectrum = spectrum_of(layer, moments)
    for rank in (1, spectrum.full_rank):
        left, right = refine(layer, "spatial", *cut(spectrum, rank), moments, "cpu")
        assert left.dtype == right.dtype == torch.float32  # the layer that is built of them has its own again
        assert bool(left.isfinite().all() and right.isfinite().all())
    tolerance = {torch.float16: 1e-2, torch.bfloat16: 8e-2, torch.float32: 1e-4}[dtype]
    matrix = folding_of(layer, "spatial").matrix(layer).float()
    torch.testing.assert_close(left.float() @ right.float(), matrix, rtol=0, atol=tolerance)


def test_moments_that_rounding_left_indefinite_become_positive_and_stay_nearly_the_same() -> None:
    """Stored in float32, eigenvalues may lie as far below zero as the largest one is rounded by."""
    torch.manual_seed(0)
    seen = torch.randn(1, 300, 20)
    stored = (seen @ seen.mT).double() - 1e-4 * torch.eye(300, dtype=torch.float64)
    found = positive(stored)
    assert float(torch.linalg.eigvalsh(stored).min()) < 0 < float(torch.linalg.eigvalsh(found).min())
    assert float((found - stored).abs().max()) < 1e-2


def test_steps_that_run_away_in_float32_are_taken_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 8, 3, padding=1).requires_grad_(False)
    moments = Moments(torch.eye(54)[None], torch.eye(8)[None])
    start = cut(spectrum_of(layer, moments), 3)
    start = start[0] + 0.1, start[1]
    honest, solve = refine(layer, "spatial", *start, moments), refining._Problem.solve

    def runs_away(self, left, right):
        found = solve(self, left, right)
        return tuple(1e7 * each for each in found) if left.dtype == torch.float32 else found

    monkeypatch.setattr(refining._Problem, "solve", runs_away)
    found = refine(layer, "spatial", *start, moments)
    errors = [float(exact_error(layer, "spatial", *each, moments)) for each in (start, honest, found)]
    assert errors[2] == pytest.approx(errors[1], rel=1e-2)
    assert errors[2] < errors[0]
