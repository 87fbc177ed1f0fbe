"""Reconstruction: compressed layers are fitted, one after the other, to what the dense ones compute."""

import copy

import pytest
import torch
from torch import Tensor, nn

from models.unet import UNet
from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.layers.factorized import LowRank, count_parameters
from torch_lowrank.quantization.quantize import quantize_weights
from torch_lowrank.ranks.budgets import ParameterBudget
from torch_lowrank.ranks.rules import FixedRank
from torch_lowrank.recalibration import recalibrate
from torch_lowrank.reconstruction import reconstruct


def correlated(number: int, channels: int, size: int, seed: int = 0) -> Tensor:
    """Images whose channels and neighbouring pixels depend on each other, and with means of their own."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.randn(number, channels, size // 2, size // 2, generator=generator, dtype=torch.float64)
    mixed = torch.einsum("nihw,oi->nohw", small, torch.randn(channels, channels, generator=generator).double())
    return nn.functional.interpolate(mixed, scale_factor=2, mode="bilinear") + torch.arange(channels)[:, None, None]


def chain(*, bias: bool) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in ((6, 16), (16, 16), (16, 12)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double().eval()


def error(network: nn.Module, other: nn.Module, images: Tensor) -> float:
    with torch.no_grad():
        return float((network(images) - other(images)).square().mean())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scheme", ["channel", "spatial"])
def test_outputs_come_closer_to_the_dense_ones_also_on_other_images(scheme: str, bias: bool) -> None:
    network, batches = chain(bias=bias), [correlated(8, 6, 16, seed) for seed in range(4)]
    statistics = collect_statistics(network, batches, weighting="activation")
    small = compress(network, FixedRank(3), statistics=statistics, scheme=scheme).network
    fitted = reconstruct(network, small, batches, statistics=statistics)
    others = correlated(16, 6, 16, seed=9)
    assert error(network, fitted, others) < 0.95 * error(network, small, others)


def test_ranks_schemes_and_sizes_stay_and_what_was_given_is_not_changed() -> None:
    torch.manual_seed(0)
    network = UNet(1, 1, 4, dropout=0.5)
    batches = [torch.randn(4, 1, 32, 32) for _ in range(2)]
    small = compress(network, ParameterBudget(0.2)).network
    before = [copy.deepcopy(each.state_dict()) for each in (network, small)]
    fitted = reconstruct(network, small, batches)

    def described(of: nn.Module) -> list[tuple[str, str, int]]:
        return [(name, each.scheme, each.rank) for name, each in of.named_modules() if isinstance(each, LowRank)]

    assert described(fitted) == described(small)
    assert count_parameters(fitted) == count_parameters(small)
    for each, kept in zip((network, small), before, strict=True):
        assert all(torch.equal(value, kept[name]) for name, value in each.state_dict().items())
        assert each.training
    assert fitted.training
    momenta = {each.momentum for each in fitted.modules() if isinstance(each, nn.BatchNorm2d)}
    assert momenta == {0.1}


def test_batch_norms_have_the_statistics_of_a_recalibration() -> None:
    torch.manual_seed(0)
    network, batches = UNet(1, 1, 4).eval(), [torch.randn(4, 1, 32, 32) for _ in range(2)]
    fitted = reconstruct(network, compress(network, ParameterBudget(0.2)).network, batches)
    again = copy.deepcopy(fitted)
    recalibrate(again, batches)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in fitted.state_dict().items())


def low_rank(layer: nn.Module) -> nn.Module:
    """Gives a layer a weight of rank 2, which compression to that rank leaves as it is."""
    small = compress(nn.Sequential(layer), FixedRank(2), scheme="channel").network[0]
    assert isinstance(small, LowRank)
    layer.weight.data = small.weight.detach()
    return layer


LAYERS = {
    "groups and stride": (lambda: nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=2), (8, 12, 12)),
    "padding mode and dilation": (
        lambda: nn.Conv2d(8, 12, 3, padding=2, dilation=2, padding_mode="reflect"),
        (8, 12, 12),
    ),
    "transposed": (lambda: nn.ConvTranspose2d(8, 12, 2, stride=2), (8, 6, 6)),
    "transposed with overlap": (lambda: nn.ConvTranspose2d(8, 12, 3, stride=2, padding=1), (8, 6, 6)),
    "one axis": (lambda: nn.Conv1d(8, 12, 5), (8, 30)),
    "linear": (lambda: nn.Linear(24, 16), (24,)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_what_is_exact_stays_exact_for_every_kind_of_layer(kind: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    network = nn.Sequential(low_rank(make().double())).eval()
    batches = [torch.randn(64, *shape, dtype=torch.float64) + 1 for _ in range(2)]
    small = compress(network, FixedRank(2), scheme="channel").network
    fitted = reconstruct(network, small, batches)
    with torch.no_grad():
        torch.testing.assert_close(fitted(batches[0]), network(batches[0]), rtol=1e-6, atol=1e-6)


def test_with_the_inputs_of_the_dense_network_the_fit_is_the_weighted_decomposition() -> None:
    network, batches = chain(bias=False)[:1], [correlated(8, 6, 16)]
    statistics = collect_statistics(network, batches, weighting="activation")
    spectra = decompose(network, "channel", statistics=statistics)
    small = compress(network, FixedRank(3), spectra=spectra, statistics=statistics).network
    plain = compress(network, FixedRank(3), scheme="channel").network
    fitted = reconstruct(network, plain, batches, statistics=statistics)
    close = {"rtol": 0, "atol": 3e-3}  # both are damped, by different shares: 1.5e-3
    torch.testing.assert_close(fitted[0].weight, small[0].weight, **close)
    assert not torch.allclose(plain[0].weight, small[0].weight, **close)


def test_a_bias_takes_the_mean_that_truncation_moved() -> None:
    network, batches = chain(bias=True), [correlated(8, 6, 16, seed) for seed in range(4)]
    fitted = reconstruct(network, compress(network, FixedRank(1), scheme="channel").network, batches)
    images = torch.cat(batches)
    with torch.no_grad():
        means, wanted = (each(images).mean((0, 2, 3)) for each in (fitted, network))
    torch.testing.assert_close(means, wanted, rtol=0.05, atol=0.05)


class OneOfTwo(nn.Module):
    """Calls the first of two layers, and that twice."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, image: Tensor) -> Tensor:
        return self.used(self.used(image).relu())


def test_a_layer_that_no_input_reaches_keeps_its_factors() -> None:
    torch.manual_seed(0)
    network = OneOfTwo().eval()
    small = compress(network, FixedRank(2)).network
    fitted = reconstruct(network, small, [{"image": torch.randn(64, 16)}])
    assert torch.equal(fitted.unused.weight, small.unused.weight)
    assert not torch.equal(fitted.used.weight, small.used.weight)


def test_a_network_of_others_is_refused() -> None:
    small = compress(chain(bias=False), FixedRank(2)).network
    with pytest.raises(ValueError, match="layer '0' of the compressed network is none of the dense network's"):
        reconstruct(nn.Sequential(nn.Conv2d(6, 8, 3)), small, [torch.randn(1, 6, 8, 8)])


def test_rounded_weights_are_refused() -> None:
    network = chain(bias=False).float()
    small = quantize_weights(compress(network, FixedRank(2)).network, bits=8)
    with pytest.raises(ValueError, match="rounded already; reconstruct first, then quantise"):
        reconstruct(network, small, [torch.randn(1, 6, 8, 8)])


def test_inputs_that_are_not_finite_are_told_with_the_layer() -> None:
    network = chain(bias=False)
    small = compress(network, FixedRank(2)).network
    with pytest.raises(FloatingPointError, match=r"layer '0': the inputs .* are not finite"):
        reconstruct(network, small, [torch.full((2, 6, 8, 8), torch.nan, dtype=torch.float64)])


def test_no_batches_are_refused() -> None:
    network = chain(bias=False)
    with pytest.raises(ValueError, match="there are no batches"):
        reconstruct(network, compress(network, FixedRank(2)).network, [])
