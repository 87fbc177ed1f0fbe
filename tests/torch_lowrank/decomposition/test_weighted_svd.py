"""Decomposition in a weighted norm: against numpy, against a numerical optimiser, and where moments are degenerate."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.curvature.moments import Moments, Statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.decomposition.svd import factorize
from torch_lowrank.decomposition.weighted_svd import factorize_weighted
from torch_lowrank.layers.unfolding import FOLDINGS
from torch_lowrank.ranks.budgets import ParameterBudget
from torch_lowrank.ranks.rules import Energy, Entropy

SHAPES = [(1, 5, 9), (1, 9, 5), (3, 4, 6), (3, 6, 4), (2, 5, 5)]


def problem(shape, seed=0):
    """W and positive definite R and C, whose eigenvalues spread over about three decades."""
    generator = torch.Generator().manual_seed(seed)

    def moment(size):
        vectors = torch.randn(shape[0], size, 3 * size, generator=generator, dtype=torch.float64)
        vectors = vectors * torch.logspace(0, -1.5, size, dtype=torch.float64)[:, None]
        turn = torch.linalg.qr(torch.randn(shape[0], size, size, generator=generator, dtype=torch.float64))[0]
        return turn @ vectors @ vectors.mT @ turn.mT / (3 * size)

    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    return weight, moment(shape[1]), moment(shape[2])


def squared_error(difference, rows, columns):
    return ((rows @ difference @ columns) * difference).sum((1, 2))


def cut(left, right, rank):
    return left[:, :, :rank] @ right[:, :rank]


def whitened_optimum(weight, rows, columns, rank):
    """The best W_r by numpy's Cholesky and SVD, one group at a time."""
    best = []
    for each, row, column in zip(weight.numpy(), rows.numpy(), columns.numpy(), strict=True):
        outer, inner = np.linalg.cholesky(row), np.linalg.cholesky(column)
        u, s, vt = np.linalg.svd(outer.T @ each @ inner, full_matrices=False)
        best.append(np.linalg.inv(outer.T) @ (u[:, :rank] * s[:rank]) @ vt[:rank] @ np.linalg.inv(inner))
    return torch.from_numpy(np.stack(best))


@pytest.mark.parametrize("shape", SHAPES)
def test_truncation_is_the_whitened_optimum_of_numpy(shape):
    weight, rows, columns = problem(shape)
    left, _, right = factorize_weighted(weight, rows, columns)
    for rank in range(1, min(shape[1:]) + 1):
        torch.testing.assert_close(
            cut(left, right, rank), whitened_optimum(weight, rows, columns, rank), rtol=0, atol=1e-9
        )


@pytest.mark.parametrize("shape", [(1, 4, 6), (1, 6, 4), (2, 3, 4)])
@pytest.mark.parametrize("rank", [1, 2])
def test_no_optimiser_finds_a_smaller_weighted_error(shape, rank):
    weight, rows, columns = problem(shape, seed=1)
    left, _, right = factorize_weighted(weight, rows, columns)
    ours = float(squared_error(cut(left, right, rank) - weight, rows, columns).sum())
    found = []
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        factors = [
            torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_()
            for size in ((shape[0], shape[1], rank), (shape[0], rank, shape[2]))
        ]
        found.append(minimised(factors, weight, rows, columns))
    assert min(found) >= ours * (1 - 1e-9)
    assert min(found) <= ours * (1 + 1e-4)  # or the optimiser would be no test


def minimised(factors, weight, rows, columns):
    optimizer = torch.optim.LBFGS(
        factors, max_iter=400, tolerance_grad=1e-12, tolerance_change=1e-15, line_search_fn="strong_wolfe"
    )

    def error():
        optimizer.zero_grad()
        value = squared_error(factors[0] @ factors[1] - weight, rows, columns).sum()
        value.backward()
        return value

    optimizer.step(error)
    return float(error().detach())


@pytest.mark.parametrize("shape", SHAPES)
def test_tails_of_the_values_are_the_weighted_errors(shape):
    weight, rows, columns = problem(shape)
    left, values, right = factorize_weighted(weight, rows, columns)
    assert bool((values[:, :-1] >= values[:, 1:]).all())
    for rank in range(values.shape[1] + 1):
        error = squared_error(cut(left, right, rank) - weight, rows, columns)
        torch.testing.assert_close(values[:, rank:].square().sum(1), error, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_full_rank_gives_the_weight_back(shape):
    weight, rows, columns = problem(shape)
    left, _, right = factorize_weighted(weight, rows, columns)
    torch.testing.assert_close(left @ right, weight, rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES)
def test_plain_truncation_has_a_larger_weighted_error(shape):
    weight, rows, columns = problem(shape)
    left, _, right = factorize_weighted(weight, rows, columns)
    plain_left, _, plain_right = factorize(weight, torch.float64)
    errors = [
        float(squared_error(cut(*factors, 2) - weight, rows, columns).sum())
        for factors in ((left, right), (plain_left, plain_right))
    ]
    assert errors[0] < 0.9 * errors[1]


@pytest.mark.parametrize("shape", SHAPES)
def test_identity_moments_give_the_plain_decomposition(shape):
    weight = problem(shape)[0]
    eyes = [torch.eye(size, dtype=torch.float64).expand(shape[0], -1, -1) for size in shape[1:]]
    left, values, right = factorize_weighted(weight, *eyes)
    plain_left, plain_values, plain_right = factorize(weight, torch.float64)
    torch.testing.assert_close(values, plain_values, rtol=1e-9, atol=1e-9)
    for rank in range(1, values.shape[1] + 1):
        torch.testing.assert_close(cut(left, right, rank), cut(plain_left, plain_right, rank), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 5, 9), (1, 9, 5), (2, 5, 5)])
@pytest.mark.parametrize("scales", [(1e-16, 1e-12), (1e16, 1e-4), (1e-30, 1e-30)])
def test_the_scale_of_moments_is_not_the_scale_of_factors(shape, scales):
    weight, rows, columns = problem(shape)
    left, _, right = factorize_weighted(weight, rows * scales[0], columns * scales[1])
    assert max(float(left.abs().max()), float(right.abs().max())) < 100
    torch.testing.assert_close(left @ right, weight, rtol=0, atol=1e-9)


KINDS = [(kind, scheme, groups) for kind, scheme in FOLDINGS if kind is not nn.Linear for groups in (1, 2)]


def layers_of_every_kind(dtype):
    torch.manual_seed(0)
    for sizes in ((9, 6), (6, 9)):
        yield nn.Linear(*sizes, dtype=dtype), "channel"
    for kind, scheme, groups in KINDS:
        yield kind(4, 6, 3, groups=groups, dtype=dtype), scheme


def samples(shape, number, seed=0):
    return torch.randn(*shape, number, generator=torch.Generator().manual_seed(seed))


def moments_of(layer, case):
    """Degenerate moments for a layer."""
    groups, rows, columns = FOLDINGS[type(layer), "channel"].matrix(layer).shape
    few = 2 if case == "rank deficient" else 4 * columns
    inputs, gradients = samples((groups, columns), few), samples((groups, rows), few, 1)
    if case == "dead channels":
        inputs[:, ::2], gradients[:, ::2] = 0, 0
    if case in ("no inputs", "nothing"):
        inputs.zero_()
    if case in ("no gradients", "nothing"):
        gradients.zero_()
    scale = 1e-10 if case == "tiny" else 1.0
    return Moments(inputs @ inputs.mT / few * scale, gradients @ gradients.mT / few * scale)


CASES = ["usual", "rank deficient", "dead channels", "no inputs", "no gradients", "nothing", "tiny"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_degenerate_moments_give_finite_factors(case, dtype):
    for layer, scheme in layers_of_every_kind(dtype):
        statistics = Statistics({"": moments_of(layer, case)}, "curvature", 4)
        spectrum = decompose(layer, scheme, statistics=statistics).layers[""]
        assert bool(spectrum.singular_values.isfinite().all())
        assert bool(spectrum.left.isfinite().all() and spectrum.right.isfinite().all())
        matrix = FOLDINGS[type(layer), scheme].matrix(layer).float()
        product = spectrum.left.float() @ spectrum.right.float()
        tolerance = 1e-4 if dtype == torch.float32 else 2e-2
        torch.testing.assert_close(product, matrix, rtol=0, atol=tolerance)


def test_channels_without_input_cost_nothing():
    layer = nn.Linear(6, 8, dtype=torch.float64)
    inputs = samples((1, 6), 100).double()
    inputs[:, 2:] = 0
    statistics = Statistics({"": Moments(inputs @ inputs.mT / 100, None)}, "activation", 100)
    spectrum = decompose(layer, statistics=statistics).layers[""]
    assert spectrum.relative_error(2) < 1e-2
    product = cut(spectrum.left, spectrum.right, 2)
    torch.testing.assert_close((product @ inputs), layer.weight.detach()[None] @ inputs, rtol=0, atol=1e-2)


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
        nn.Conv2d(16, 16, 3, padding=1, groups=2),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(16, 12, 2, stride=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(12, 1, 1),
    ).eval()


@pytest.fixture(scope="module", params=["activation", "curvature"])
def weighted(request):
    network = small_network()
    images = [torch.randn(3, 1, 12, 10, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    statistics = collect_statistics(network, images, weighting=request.param)
    return network, statistics, decompose(network, "auto", statistics=statistics), images[0]


@pytest.mark.parametrize(
    "rule", [Entropy(0.8), Entropy(0.8, "sigma"), Energy(0.9), ParameterBudget(0.5), ParameterBudget(0.5, Entropy(0.5))]
)
def test_rules_work_on_weighted_spectra(weighted, rule):
    network, statistics, spectra, images = weighted
    assert spectra.weighting == statistics.weighting
    plain = compress(network, rule, spectra=spectra)
    refined = compress(network, rule, spectra=spectra, statistics=statistics)
    ranks = [[(layer.name, layer.rank) for layer in result.layers] for result in (plain, refined)]
    assert ranks[0] == ranks[1]
    before = sum(parameter.numel() for parameter in network.parameters())
    for result in (plain, refined):
        after = sum(parameter.numel() for parameter in result.network.parameters())
        assert after < before and (not isinstance(rule, ParameterBudget) or after <= before / 2)
        assert result.network(images).shape == network(images).shape
        assert bool(result.network(images).isfinite().all())


def test_ranks_grow_with_tau_and_energy(weighted):
    _, _, spectra, _ = weighted
    for rules in ([Entropy(tau) for tau in (0.3, 0.6, 0.9)], [Energy(share) for share in (0.5, 0.9, 0.99)]):
        for spectrum in spectra.layers.values():
            ranks = [rule.rank(spectrum.singular_values) for rule in rules]
            assert ranks == sorted(ranks) and 1 <= ranks[0] <= ranks[-1] <= spectrum.full_rank


def test_squared_values_are_half_of_the_weighted_norm(weighted):
    network, statistics, spectra, _ = weighted
    for name, spectrum in itertools.chain(spectra.layers.items(), spectra.alternatives.items()):
        layer = network.get_submodule(name)
        rows, columns = statistics[name].weights(layer, spectrum.scheme)
        matrix = FOLDINGS[type(layer), spectrum.scheme].matrix(layer).double()
        expected = 0.5 * float(squared_error(matrix, rows, columns).sum())
        assert float(spectrum.singular_values.square().sum()) == pytest.approx(expected, rel=1e-9)
        assert spectrum.absolute == (statistics.weighting == "curvature")


def test_weighting_none_ignores_statistics(weighted):
    network, statistics, _, _ = weighted
    assert decompose(network, statistics=statistics, weighting="none").digest() == decompose(network).digest()


def test_weighting_without_its_statistics_is_refused(weighted):
    network, statistics, _, _ = weighted
    with pytest.raises(ValueError, match="needs statistics"):
        decompose(network, weighting="curvature")
    with pytest.raises(ValueError, match="weighting is 'hessian'"):
        decompose(network, statistics=statistics, weighting="hessian")
    with pytest.raises(ValueError, match="another shape"):
        decompose(nn.Sequential(nn.Conv2d(1, 16, 5)), statistics=statistics)
