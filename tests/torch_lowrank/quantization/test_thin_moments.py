"""A change of a thin layer's weight costs what the change that it makes of the dense weight costs."""

import pytest
import torch
from torch import nn

from torch_lowrank.curvature.moments import Moments
from torch_lowrank.layers.factorized import LowRank
from torch_lowrank.layers.unfolding import folding_of
from torch_lowrank.quantization.thin_moments import (
    before_second,
    exact_in_second,
    first_moments,
    matrix_of,
    second_moments,
    weight_of,
)

LAYERS = [
    nn.Linear(5, 4),
    nn.Conv1d(4, 6, 3, groups=2),
    nn.Conv2d(4, 6, (3, 2)),
    nn.Conv2d(4, 6, 3, groups=2),
    nn.Conv3d(2, 4, (3, 2, 2)),
    nn.ConvTranspose1d(4, 6, 3),
    nn.ConvTranspose2d(4, 6, (2, 3), groups=2),
    nn.ConvTranspose3d(4, 2, (3, 2, 2)),
]
CASES = [
    (layer, scheme)
    for layer in LAYERS
    for scheme in ("channel", "spatial")
    if scheme == "channel" or (not isinstance(layer, (nn.Linear, nn.Conv1d, nn.ConvTranspose1d)))
]
EXACT = {  # which of the two layers has exact moments by the spatial scheme
    False: "second",
    True: "first",
}


def moments_of(layer, seed=0):
    generator = torch.Generator().manual_seed(seed)
    groups, m, n = folding_of(layer, "channel").shape(layer)

    def moment(size):
        vectors = torch.randn(groups, 3 * size, size, generator=generator)
        return vectors.mT @ vectors / len(vectors[0])

    return Moments(moment(n), moment(m))


def low_rank(layer, scheme, rank=2):
    thin = LowRank(layer, scheme, rank).double()
    generator = torch.Generator().manual_seed(3)
    for parameter in thin.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return thin


@pytest.mark.parametrize(("layer", "scheme"), CASES)
@pytest.mark.parametrize("which", ["first", "second"])
def test_the_error_of_a_thin_layer_is_that_of_the_dense_one(layer, scheme, which):
    thin, moments = low_rank(layer, scheme), moments_of(layer)
    rows, columns = moments.damped(layer)
    own = (first_moments if which == "first" else second_moments)(thin, moments)
    before = matrix_of(thin)
    part = thin.get_submodule(which)
    for entry in range(5):
        change = torch.zeros(matrix_of(part).shape, dtype=torch.float64)
        change.view(-1)[torch.randperm(change.numel(), generator=torch.Generator().manual_seed(entry))[:2]] = 0.5
        part.weight.data += weight_of(part, change).reshape(part.weight.shape)
        dense = matrix_of(thin) - before
        part.weight.data -= weight_of(part, change).reshape(part.weight.shape)
        expected = float(((rows @ dense @ columns) * dense).sum())
        found = float(((own[0] @ change @ own[1]) * change).sum())
        if scheme == "channel" or which == EXACT[folding_of(layer, scheme).transposed]:
            assert found == pytest.approx(expected, rel=1e-9)
        else:  # taps are taken as independent
            assert 0.2 < found / expected < 5


@pytest.mark.parametrize(("layer", "scheme"), CASES)
def test_weights_come_back_from_their_matrices(layer, scheme):
    thin = low_rank(layer, scheme)
    for part in (layer, *thin):
        assert torch.equal(weight_of(part, matrix_of(part)).reshape(part.weight.shape), part.weight.double())


@pytest.mark.parametrize(("layer", "scheme"), CASES)
def test_the_second_weight_times_what_is_before_it_is_the_dense_one(layer, scheme):
    thin = low_rank(layer, scheme)
    assert exact_in_second(thin) == (scheme == "channel" or not folding_of(layer, scheme).transposed)
    if exact_in_second(thin):
        assert torch.allclose(matrix_of(thin.second) @ before_second(thin), matrix_of(thin), rtol=1e-10)
