"""Subclasses that pad by themselves are factorised; those that do more are left alone, by name."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.inference import for_inference
from torch_lowrank.io import load_network, save_network
from torch_lowrank.layers.eligibility import why_not
from torch_lowrank.layers.factorized import LowRank
from torch_lowrank.ranks.costs import count_macs
from torch_lowrank.ranks.rules import FixedRank

X = torch.randn(2, 4, 13, 10, generator=torch.Generator().manual_seed(3))


class Conv2dStaticSamePadding(nn.Conv2d):
    """As in efficientnet_pytorch, for an image size known before."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.static_padding = nn.ZeroPad2d((0, 1, 1, 1))

    def forward(self, x):
        x = self.static_padding(x)
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv2dDynamicSamePadding(nn.Conv2d):
    """As in efficientnet_pytorch, for any size."""

    def forward(self, x):
        sides = []
        for size, kernel, stride in zip(x.size()[-2:], self.weight.size()[-2:], self.stride, strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            sides = [total // 2, total - total // 2, *sides]
        return F.conv2d(F.pad(x, sides), self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Circular(nn.Conv2d):
    """Only names what its parent does."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, padding=1, padding_mode="circular", **kwargs)


class Named(nn.Conv2d):
    """Only has another name."""


class Activated(nn.Linear):
    """Does something before, which does not depend on the weight."""

    def forward(self, x):
        return super().forward(x.relu())


PADDING = [
    lambda **options: Conv2dStaticSamePadding(4, 8, 3, stride=2, **options),
    lambda **options: Conv2dDynamicSamePadding(4, 8, (3, 5), stride=(2, 3), **options),
    lambda **options: Circular(4, 8, 3, **options),
]
# Those whose padding torch's functions compute; "same" is uneven for even kernels.
NAMED = [
    lambda **options: Named(4, 8, (3, 4), padding="same", dilation=(2, 1), **options),
    lambda **options: Named(4, 8, (2, 3), padding="valid", stride=2, **options),
]


class Standardised(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


class Doubled(nn.Conv2d):
    def forward(self, x):
        return 2 * super().forward(x)


class WithoutBias(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, self.weight)


class OfItsOwnOutputs(nn.Conv2d):
    def forward(self, x):
        return super().forward(x * self.out_channels)


class Twice(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) + super().forward(x)


class DoubledFrom32On(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) * (2 if x.shape[-1] >= 32 else 1)


class TakesADictionary(nn.Conv2d):
    def forward(self, x):
        return super().forward(x["image"])


@pytest.mark.parametrize("make", PADDING + NAMED)
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"groups": 2}])
def test_layers_that_pad_by_themselves_are_the_same_at_full_rank(make, options):
    torch.manual_seed(0)
    layer = make(**options).double()
    spectrum = decompose(layer, "auto").layers[""]
    whole = LowRank.from_factors(layer, "channel", spectrum.left, spectrum.right)
    assert type(whole.first) is type(layer)
    with torch.no_grad():
        torch.testing.assert_close(whole(X.double()), layer(X.double()), rtol=1e-10, atol=1e-10)
        small = compress(layer, FixedRank(1)).network
        by_hand = copy.deepcopy(layer)
        by_hand.weight.copy_(small.weight)
        torch.testing.assert_close(small(X.double()), by_hand(X.double()), rtol=1e-10, atol=1e-10)
        assert (small(X.double()) - layer(X.double())).abs().max() > 1e-3


@pytest.mark.parametrize(
    "kind", [Standardised, Doubled, DoubledFrom32On, WithoutBias, OfItsOwnOutputs, Twice, TakesADictionary]
)
def test_layers_that_do_more_are_left_alone_by_name(kind):
    state = torch.get_rng_state()
    network = nn.Sequential(kind(4, 8, 3), nn.Conv2d(8, 8, 3))
    torch.set_rng_state(state)
    reports = compress(network, FixedRank(1)).layers
    assert torch.equal(torch.get_rng_state(), state)  # examples do not draw from it
    assert [report.rank for report in reports] == [None, 1]
    assert reports[0].skipped == f"{kind.__name__} is its own kind of Conv2d, and does more than pad"


def test_a_linear_layer_may_do_something_before():
    assert why_not(Activated(6, 5)) is None
    assert why_not(nn.ConvTranspose2d(3, 3, 3)) is None

    class Own(nn.ConvTranspose2d):
        pass

    assert "is its own kind of ConvTranspose2d" in why_not(Own(3, 3, 3))


@pytest.mark.parametrize("make", PADDING)
def test_their_statistics_are_those_of_the_padded_input(make):
    torch.manual_seed(0)
    layer = make()
    found = collect_statistics(layer, [X])[""]
    (padded,) = recorded_inputs(layer)
    plain = nn.Conv2d(4, 8, layer.kernel_size, layer.stride)
    plain.load_state_dict({"weight": layer.weight, "bias": layer.bias})
    expected = collect_statistics(plain, [padded])[""]
    torch.testing.assert_close(found.columns, expected.columns)
    torch.testing.assert_close(found.rows, expected.rows)
    small = compress(layer, FixedRank(4)).network
    again = collect_statistics(small, [X], weighting="activation")[""]
    torch.testing.assert_close(again.columns, expected.columns)


@pytest.mark.parametrize("make", NAMED)
def test_statistics_of_padding_by_name_are_those_of_the_plain_convolution(make):
    torch.manual_seed(0)
    layer = make()
    plain = nn.Conv2d(4, 8, layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    plain.load_state_dict(layer.state_dict())
    found, expected = (collect_statistics(each, [X])[""] for each in (layer, plain))
    torch.testing.assert_close(found.columns, expected.columns)
    torch.testing.assert_close(found.rows, expected.rows)


def test_volumes_are_tried_too():
    class Own(nn.Conv3d):
        pass

    class DoubledInLargeVolumes(nn.Conv3d):
        def forward(self, x):
            return super().forward(x) * (2 if x.shape[-1] >= 32 else 1)

    assert why_not(Own(2, 3, 3, padding="same")) is None
    assert "does more than pad" in why_not(DoubledInLargeVolumes(2, 3, 3))


def recorded_inputs(layer):
    """What the layer hands to the convolution, as torch computes it."""
    seen, convolve = [], F.conv2d

    def record(x, *args, **kwargs):
        seen.append(x.detach())
        return convolve(x, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "conv2d", record)
        layer(X)
    return seen


def test_they_are_counted_saved_and_prepared_for_inference(tmp_path):
    def make():
        torch.manual_seed(0)
        return nn.Sequential(*(each() for each in PADDING[:1]), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)).eval()

    network = make()
    small = compress(network, FixedRank(2)).network
    assert type(small[0].first) is Conv2dStaticSamePadding
    outputs = network[0](X[:1]).shape[2:].numel()
    assert count_macs(small[0], tuple(X.shape[1:])) == 2 * (4 * 9 + 8) * outputs
    save_network(small, tmp_path / "network")
    with torch.no_grad():
        assert torch.equal(load_network(tmp_path / "network", make)(X), small(X))
        torch.testing.assert_close(for_inference(small)(X), small(X), rtol=1e-5, atol=1e-5)
    again = compress(small, FixedRank(1)).network
    assert again[0].rank == 1 and type(again[0].first) is Conv2dStaticSamePadding
