"""At full rank factorised = dense, at rank r the error is the discarded tail, over geometries."""

import itertools

import pytest
import torch
from torch import nn

from tests.torch_lowrank.covering import chosen, every
from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.layers.factorized import LowRank
from torch_lowrank.layers.unfolding import FOLDINGS
from torch_lowrank.ranks.rules import FixedRank

PLAIN = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
KERNELS = {1: [1, 2, 3], 2: [1, 2, 3, (1, 3), (3, 1), (4, 3)], 3: [1, (3, 2, 3)]}
SIZES = {1: (9,), 2: (9, 8), 3: (7, 8, 6)}
CHANNELS, OUT = 4, 6
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def geometries(dims):
    """Yields keyword arguments for every combination that torch accepts."""
    modes = ["zeros", "reflect", "replicate", "circular"]
    paddings = [0, 1, (2, *[1] * (dims - 1)), "same", "valid"]
    strides = [1, 2, (1, *[3] * (dims - 1))]
    for kernel, stride, padding, mode, dilation, groups, bias in itertools.product(
        KERNELS[dims], strides, paddings, modes, [1, 2], [1, 2], [True, False]
    ):
        if padding == "same" and stride != 1:
            continue
        yield {
            "kernel_size": kernel,
            "stride": stride,
            "padding": padding,
            "padding_mode": mode,
            "dilation": dilation,
            "groups": groups,
            "bias": bias,
        }


def transposed_geometries(dims):
    for kernel, stride, padding, extra, dilation, groups, bias in itertools.product(
        KERNELS[dims], [1, 2, (1, *[3] * (dims - 1))], [0, 1], [0, 1], [1, 2], [1, 2], [True, False]
    ):
        if extra and (dilation == 1 and stride != 2):
            continue  # output padding must be smaller than stride or dilation
        yield {
            "kernel_size": kernel,
            "stride": stride,
            "padding": padding,
            "output_padding": extra,
            "dilation": dilation,
            "groups": groups,
            "bias": bias,
        }


def at_rank(layer, scheme, rank=None):
    """The layer as two thin ones, whether that is smaller or not."""
    spectrum = decompose(layer, scheme).layers[""]
    rank = rank or spectrum.full_rank
    return LowRank.from_factors(layer, spectrum.scheme, spectrum.left[:, :, :rank], spectrum.right[:, :rank])


def difference(layer, replacement, x):
    with torch.no_grad():
        expected, got = layer(x), replacement(x)
    assert got.shape == expected.shape
    return float((got - expected).abs().max() / expected.abs().max().clamp_min(1))


def accepts(kind, x):
    """Returns what tells whether torch itself takes a geometry."""

    def accepted(geometry):
        try:
            with torch.no_grad():
                kind(CHANNELS, OUT, **geometry, dtype=x.dtype)(x)
        except (RuntimeError, ValueError):
            return False
        return True

    return accepted


def check_all(kind, dims, geometries, scheme, dtype, choose):
    torch.manual_seed(0)
    x = torch.randn(2, CHANNELS, *SIZES[dims], dtype=dtype)
    worst, count = 0.0, 0
    for geometry in choose(geometries, accepts(kind, x)):
        layer = kind(CHANNELS, OUT, **geometry, dtype=dtype)
        worst = max(worst, difference(layer, at_rank(layer, scheme), x))
        count += 1
    assert worst < TOLERANCE[dtype]
    return count


@chosen
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("dims", "scheme"), [(1, "channel"), (2, "channel"), (2, "spatial"), (3, "channel"), (3, "spatial")]
)
def test_full_rank_equals_dense_convolution(dims, scheme, dtype, choose):
    count = check_all(PLAIN[dims], dims, geometries(dims), scheme, dtype, choose)
    assert count > (300 if choose is every else 15)


@chosen
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("dims", "scheme"), [(1, "channel"), (2, "channel"), (2, "spatial"), (3, "channel"), (3, "spatial")]
)
def test_full_rank_equals_dense_transposed_convolution(dims, scheme, dtype, choose):
    count = check_all(TRANSPOSED[dims], dims, transposed_geometries(dims), scheme, dtype, choose)
    assert count > (100 if choose is every else 10)


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (1, 4), (4, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_full_rank_equals_dense_linear(shape, bias):
    layer = nn.Linear(*shape, bias=bias, dtype=torch.float64)
    assert difference(layer, at_rank(layer, "channel"), torch.randn(2, 3, shape[0], dtype=torch.float64)) < 1e-12


@pytest.mark.parametrize("scheme", ["channel", "spatial"])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_full_rank_equals_dense_depthwise(kind, scheme):
    layer = kind(6, 12, (3, 4), padding=1, groups=6, dtype=torch.float64)
    assert difference(layer, at_rank(layer, scheme), torch.randn(2, 6, 8, 9, dtype=torch.float64)) < 1e-12


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 5e-3), (torch.bfloat16, 4e-2)])
def test_full_rank_is_as_close_as_half_precision_allows(dtype, tolerance):
    layer = nn.Conv2d(8, 8, 3, dtype=dtype)
    replacement = at_rank(layer, "channel")
    assert {parameter.dtype for parameter in replacement.parameters()} == {dtype}
    # in float32, as the rounding of the activations is not what is measured
    assert difference(layer.float(), replacement.float(), torch.randn(1, 8, 9, 9)) < tolerance


@pytest.mark.parametrize("scheme", ["channel", "spatial"])
def test_output_size_of_a_transposed_convolution_is_kept(scheme):
    layer = nn.ConvTranspose2d(3, 4, 3, stride=(2, 3), padding=1, dtype=torch.float64)
    x = torch.randn(1, 3, 5, 5, dtype=torch.float64)
    for size in [(9, 13), (10, 14), (9, 15)]:
        torch.testing.assert_close(at_rank(layer, scheme)(x, output_size=size), layer(x, output_size=size))


def layers_of_every_kind():
    yield nn.Linear(11, 9), "channel"
    for kind, scheme in FOLDINGS:
        if kind is not nn.Linear:
            yield kind(6, 8, 3, groups=2), scheme
            yield kind(6, 8, 3), scheme


@pytest.mark.parametrize(("layer", "scheme"), layers_of_every_kind())
def test_weight_error_at_rank_r_is_the_discarded_tail(layer, scheme):
    layer = layer.double()
    spectrum = decompose(layer, scheme).layers[""]
    weight = layer.weight.detach()
    for rank in range(1, spectrum.full_rank + 1):
        error = float((at_rank(layer, scheme, rank).weight.detach() - weight).norm() / weight.norm())
        assert error == pytest.approx(spectrum.relative_error(rank), abs=1e-12)


def test_a_random_factorisation_fails_the_tolerance():
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 8, 3, dtype=torch.float64)
    spectrum = decompose(layer).layers[""]
    left = torch.linalg.qr(torch.randn_like(spectrum.left[0]))[0][None, :, :4]
    best = spectrum.relative_error(4)
    for right in (torch.randn(1, 4, 72, dtype=torch.float64), left.mT @ (spectrum.left @ spectrum.right)):
        replacement = LowRank.from_factors(layer, "channel", left, right)
        assert float((replacement.weight - layer.weight).detach().norm() / layer.weight.detach().norm()) > best + 1e-3
    full = LowRank.from_factors(layer, "channel", torch.randn_like(spectrum.left), spectrum.right)
    assert difference(layer, full, torch.randn(1, 8, 6, 6, dtype=torch.float64)) > 1e-2


@pytest.mark.parametrize(("layer", "scheme"), layers_of_every_kind())
def test_reported_parameters_are_those_counted(layer, scheme):
    result = compress(layer, FixedRank(1), spectra=decompose(layer, scheme))
    report = result.layers[0]
    assert isinstance(result.network, LowRank)
    assert report.params_after == sum(parameter.numel() for parameter in result.network.parameters())
    assert report.params_after < report.params_before == sum(parameter.numel() for parameter in layer.parameters())
