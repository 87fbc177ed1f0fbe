"""Vectors of inputs and gradients against torch: outputs and weight gradients, over geometries."""

import itertools

import pytest
import torch
from torch import nn

from tests.torch_lowrank.covering import chosen, every
from tests.torch_lowrank.test_exactness import (
    CHANNELS,
    OUT,
    PLAIN,
    SIZES,
    TRANSPOSED,
    accepts,
    geometries,
    transposed_geometries,
)
from torch_lowrank.curvature.patches import input_vectors, output_vectors, positions
from torch_lowrank.layers.unfolding import FOLDINGS

ALL = 10**9  # more than there are positions
TOLERANCE = 1e-10
KINDS = [*((dims, kind, geometries) for dims, kind in PLAIN.items())]
KINDS += [(dims, kind, transposed_geometries) for dims, kind in TRANSPOSED.items()]


def difference(got, expected):
    assert got.shape == expected.shape
    return float((got - expected).detach().abs().max() / expected.detach().abs().max().clamp_min(1))


def layers_of(kind, dims, all_geometries, choose):
    """Yields float64 layers of one kind, inputs and outputs, for geometries that torch accepts."""
    torch.manual_seed(0)
    values = torch.randn(2, CHANNELS, *SIZES[dims], dtype=torch.float64)
    without_bias = (geometry for geometry in all_geometries(dims) if not geometry["bias"])
    for geometry in choose(without_bias, accepts(kind, values)):
        layer = kind(CHANNELS, OUT, **geometry, dtype=torch.float64)
        yield layer, values, layer(values)


def product_with_inputs(layer, values, outputs):
    """Returns the channel matrix times all input vectors, in the shape of the outputs."""
    product = FOLDINGS[type(layer), "channel"].matrix(layer) @ input_vectors(layer, values, ALL, 0)
    if isinstance(layer, nn.Linear):
        return product[0].mT.reshape(outputs.shape)
    return product.flatten(0, 1).reshape(-1, len(values), *outputs.shape[2:]).transpose(0, 1)


def gradient_from_vectors(layer, values, gradient):
    """Returns the gradient of the unfolded weight as a product of output vectors and input vectors."""
    sizes = values.shape[2:]
    return output_vectors(layer, gradient, sizes, ALL, 0) @ input_vectors(layer, values, ALL, 0).mT


def gradient_from_torch(layer, outputs, gradient):
    """Returns the gradient of the unfolded weight as autograd computes it."""
    (weight,) = torch.autograd.grad(outputs, layer.weight, gradient)
    return FOLDINGS[type(layer), "channel"].unfold(weight, getattr(layer, "groups", 1))


@chosen
@pytest.mark.parametrize(("dims", "kind"), PLAIN.items())
def test_matrix_times_input_vectors_is_the_convolution(dims, kind, choose):
    worst, count = 0.0, 0
    for layer, values, outputs in layers_of(kind, dims, geometries, choose):
        worst = max(worst, difference(product_with_inputs(layer, values, outputs), outputs))
        count += 1
    assert worst < TOLERANCE
    assert count > (60 if choose is every else 15)


@chosen
@pytest.mark.parametrize(("dims", "kind", "all_geometries"), KINDS)
def test_vectors_give_the_weight_gradient_of_autograd(dims, kind, all_geometries, choose):
    worst, count = 0.0, 0
    for layer, values, outputs in layers_of(kind, dims, all_geometries, choose):
        gradient = torch.randn_like(outputs)
        got = gradient_from_vectors(layer, values, gradient)
        worst = max(worst, difference(got, gradient_from_torch(layer, outputs, gradient)))
        count += 1
    assert worst < TOLERANCE
    assert count > (30 if choose is every else 10)


@pytest.mark.parametrize("shape", [(7, 5), (2, 7, 5), (2, 3, 4, 5), (5,)])
def test_linear_layers_take_any_leading_axes(shape):
    torch.manual_seed(0)
    layer, values = nn.Linear(5, 3, bias=False, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    outputs = layer(values)
    gradient = torch.randn_like(outputs)
    assert difference(product_with_inputs(layer, values, outputs), outputs) < TOLERANCE
    expected = gradient_from_torch(layer, outputs, gradient)
    assert difference(gradient_from_vectors(layer, values, gradient), expected) < TOLERANCE


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_images_without_a_batch_are_a_batch_of_one(kind, mode):
    if mode == "reflect" and kind is nn.ConvTranspose2d:
        pytest.skip("transposed convolutions pad with zeros")
    dims = len(kind(1, 1, 1).kernel_size)
    layer = kind(CHANNELS, OUT, 3, padding=1, padding_mode=mode)
    values = torch.randn(CHANNELS, *SIZES[dims])
    outputs = layer(values).detach()
    assert torch.equal(input_vectors(layer, values, ALL, 0), input_vectors(layer, values[None], ALL, 0))
    alone = output_vectors(layer, outputs, values.shape[1:], ALL, 0)
    assert torch.equal(alone, output_vectors(layer, outputs[None], values.shape[1:], ALL, 0))


def test_wrong_padding_fails_the_tolerance():
    torch.manual_seed(0)
    values = torch.randn(2, CHANNELS, 9, 8, dtype=torch.float64)
    right = {"kernel_size": (4, 3), "padding": "same", "bias": False, "dtype": torch.float64}
    layer = nn.Conv2d(CHANNELS, OUT, **right)
    outputs = layer(values)
    gradient = torch.randn_like(outputs)
    expected = gradient_from_torch(layer, outputs, gradient)
    assert difference(gradient_from_vectors(layer, values, gradient), expected) < TOLERANCE
    wrong = nn.Conv2d(CHANNELS, OUT, **right, padding_mode="reflect")
    wrong.weight = layer.weight
    assert difference(product_with_inputs(wrong, values, outputs), outputs) > 0.1
    assert difference(gradient_from_vectors(wrong, values, gradient), expected) > 0.1
    up = nn.ConvTranspose2d(CHANNELS, OUT, 3, padding=1, bias=False, dtype=torch.float64)
    gradient = torch.randn_like(up(values))
    expected = gradient_from_torch(up, up(values), gradient)
    up.padding = (0, 0)
    gradient = nn.functional.pad(gradient, (0, 2, 0, 2))  # of the size it would have
    assert difference(gradient_from_vectors(up, values, gradient), expected) > 0.1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_vectors_of_half_precision_are_float32(dtype):
    layer = nn.Conv2d(2, 3, 3, padding=1).to(dtype)
    assert input_vectors(layer, torch.ones(1, 2, 4, 4, dtype=dtype), ALL, 0).dtype == torch.float32
    assert output_vectors(layer, torch.ones(1, 3, 4, 4, dtype=dtype), (4, 4), ALL, 0).dtype == torch.float32


def numbered(dims, size):
    """A layer that shows which positions are taken, and an input whose values are their numbers."""
    layer = nn.Linear(1, 1) if dims == 0 else PLAIN[dims](1, 1, 1)
    values = torch.arange(4 * size ** max(dims, 1), dtype=torch.float64)
    return layer, values.reshape(4, *[size] * max(dims, 1), 1) if dims == 0 else values.reshape(4, 1, *[size] * dims)


@pytest.mark.parametrize(("dims", "size", "wanted"), [(0, 4096, 300), (1, 4096, 300), (2, 64, 300), (3, 32, 500)])
@pytest.mark.parametrize("turn", [0, 1, 5])
def test_about_as_many_positions_as_wanted_are_taken(dims, size, wanted, turn):
    layer, values = numbered(dims, size)
    taken = input_vectors(layer, values, wanted, turn)[0, 0]
    assert len(taken.unique()) == len(taken)
    assert wanted / 2 < len(taken) < wanted * 2  # measured: 0.98 to 1.73


@pytest.mark.parametrize("dims", [0, 1, 2, 3])
@pytest.mark.parametrize("step", [2, 3, 5, 6, 7, 9])
def test_every_turn_of_a_few_sees_other_positions(dims, step):
    layer, values = numbered(dims, 18)
    wanted = int(values.numel() / (step + 0.01) ** max(dims, 1))  # the root is rounded down
    seen = [set(input_vectors(layer, values, wanted, turn)[0, 0].tolist()) for turn in range(step)]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(seen, 2))


def test_inputs_and_gradients_are_taken_at_the_same_positions():
    layer, values = numbered(2, 64)
    for turn in range(4):
        inputs = input_vectors(layer, values, 200, turn)
        assert torch.equal(inputs, output_vectors(layer, values, (64, 64), 200, turn))


def test_positions_are_those_of_the_weight():
    values = torch.randn(1, 4, 9, 8)
    for layer in (nn.Conv2d(4, 6, 3, stride=2), nn.ConvTranspose2d(4, 6, 3, stride=2)):
        outputs = layer(values)
        count = positions(layer, values.shape[2:], outputs.shape[2:])
        assert count == input_vectors(layer, values, ALL, 0).shape[2]
        assert count == output_vectors(layer, outputs, values.shape[2:], ALL, 0).shape[2]
