import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.torch_lowrank.quantization.quantized_cases import inputs, network
from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.io import network_digest, weights
from torch_lowrank.layers.factorized import LowRank, replace_layers
from torch_lowrank.quantization.coding import code_range, coding_of, codings
from torch_lowrank.quantization.quantize import in_half_precision, quantize_weights
from torch_lowrank.quantization.thin_moments import matrix_of
from torch_lowrank.ranks.rules import FixedRank

SCHEMES = [None, "channel", "spatial"]
EIGHT = ["one.0", "one.2", "two.0", "two.2", "two.3", "three.0", "three.1", "linear"]


def coded_layers(quantized):
    return {name: module for name, module in quantized.named_modules() if coding_of(module)}


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(SCHEMES), st.integers(2, 8), st.integers(0, 1000))
def test_every_kind_of_layer_has_few_values_for_each_output(scheme, bits, seed):
    before = network(scheme, seed)
    quantized = quantize_weights(before, bits)
    found = coded_layers(quantized)
    assert {name.removesuffix(".first").removesuffix(".second") for name in found} == {*EIGHT}
    assert any(isinstance(module, LowRank) for module in quantized.modules()) == (scheme is not None)
    for name, layer in found.items():
        coding, (low, high) = coding_of(layer), code_range(bits)
        codes = coding.encode(layer.weight)
        assert low <= codes.min() and codes.max() <= high
        channels = getattr(layer, "out_channels", None) or layer.out_features
        assert coding.scale.numel() == channels, name
        assert torch.equal(coding.scale, coding.scale.bfloat16().float())
        assert torch.equal(coding.decode(codes).reshape(layer.weight.shape), layer.weight)
    assert torch.equal(quantized.tied.weight, before.embedding.weight)
    assert quantized.tied.weight is quantized.embedding.weight


@pytest.mark.parametrize("scheme", SCHEMES)
def test_eight_bits_compute_nearly_the_same_and_four_less_so(scheme):
    before = network(scheme)
    x = inputs()
    with torch.no_grad():
        expected = before(*x)
        errors = [float((quantize_weights(before, bits)(*x) - expected).norm() / expected.norm()) for bits in (8, 4)]
    assert 4 * errors[0] < errors[1]  # a step is 17 times as large


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_network_given_is_untouched_and_copies_stay_quantised(scheme):
    before = network(scheme)
    digest = network_digest(before)
    quantized = quantize_weights(before, 5)
    assert network_digest(before) == digest and not codings(before)
    assert network_digest(quantized) != digest
    for copied in (copy.deepcopy(quantized), replace_layers(quantized, {}), copy.deepcopy(quantized).to("cpu")):
        assert network_digest(copied) == network_digest(quantized)
    names = {f"{name}.weight" for name in coded_layers(quantized)}
    assert {*codings(quantized)} == names and names < {*quantized.state_dict()}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_more_bits_are_more_bytes_and_quantising_again_is_allowed(scheme):
    before = network(scheme)
    sizes = [len(weights(quantize_weights(before, bits))) for bits in (2, 3, 4, 5, 6, 7, 8, 16)]
    assert sizes == sorted(set(sizes)) and sizes[-1] < len(weights(before))
    twice = quantize_weights(quantize_weights(before, 8), 4)
    assert len(weights(twice)) == sizes[2]
    same = quantize_weights(twice, 4)
    assert max(coding.bits for coding in codings(same).values()) == 4


@pytest.mark.parametrize("scheme", [None, "channel", "spatial"])
@pytest.mark.parametrize("weighting", ["activation", "curvature"])
def test_rounding_that_knows_the_data_changes_the_loss_less(scheme, weighting):
    """Over the Kronecker-factored error of each layer, as that is what it minimises."""
    torch.manual_seed(0)
    dense = nn.Sequential(
        *(nn.Conv2d(2, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 16, (3, 2), groups=2), nn.ReLU()),
        *(nn.ConvTranspose2d(16, 12, 3, stride=2), nn.ReLU(), nn.Conv2d(12, 1, 1)),
    )
    smooth = [nn.functional.avg_pool2d(torch.randn(4, 2, 16, 16), 5, 1) for _ in range(4)]
    statistics = collect_statistics(dense, smooth, weighting=weighting)
    before = dense
    if scheme:
        spectra = decompose(dense, scheme, statistics=statistics)
        before = compress(dense, FixedRank(3), spectra=spectra, statistics=statistics).network

    def rise(quantized):
        total = 0.0
        for name in statistics:
            rows, columns = statistics[name].damped(dense.get_submodule(name))
            change = matrix_of(quantized.get_submodule(name)) - matrix_of(before.get_submodule(name))
            total += float(((rows @ change @ columns) * change).sum())
        return total

    for bits in (3, 5):
        shares = rise(quantize_weights(before, bits, statistics=statistics)) / rise(quantize_weights(before, bits))
        assert shares < 0.9  # measured: 0.08 to 0.74


def test_bits_of_single_layers_are_found_by_pattern():
    before = network("channel")
    bits = {"one.*": 3, "two.0.first": 8, "two.*.second": 4, "linear": 16}
    found = codings(quantize_weights(before, bits, exclude=["one.2"]))
    by_layer = {name.removesuffix(".weight"): coding.bits for name, coding in found.items()}
    assert by_layer["two.0.first"] == 8 and by_layer["two.0.second"] == 4
    assert "one.2" not in by_layer and not any(name.startswith("three") for name in by_layer)
    assert {value for name, value in by_layer.items() if name.startswith("one.0")} == {3}
    assert {value for name, value in by_layer.items() if name.startswith("linear")} == {16}


def test_all_other_tensors_can_be_halved_too():
    before = network("spatial")
    before.one[1].running_var.fill_(1e6)  # half precision ends at 65,504
    quantized = quantize_weights(before, 8, other_bits=16)
    found = codings(quantized)
    assert found["two.1.running_mean"].bits == found["linear.second.bias"].bits == found["tied.weight"].bits == 16
    assert "one.1.running_var" not in found and torch.equal(quantized.one[1].running_var, before.one[1].running_var)
    assert len(weights(quantized)) < len(weights(quantize_weights(before, 8)))
    assert quantized.tied.weight is quantized.embedding.weight


@pytest.mark.parametrize("bits", [0, 1, 9, 12, 32, True, 4.5, "8"])
def test_other_numbers_of_bits_are_refused(bits):
    with pytest.raises(ValueError, match=r"give 2, 3, 4, 5, 6, 7, 8 or 16"):
        quantize_weights(network(), {"*": bits})


def test_what_cannot_be_quantised_is_refused_with_the_layer():
    with pytest.raises(ValueError, match="pattern 'nowhere' matches no layer"):
        quantize_weights(network(), {"nowhere": 4})
    with pytest.raises(ValueError, match="give a list of patterns"):
        quantize_weights(network(), exclude="linear")
    with pytest.raises(ValueError, match=r"bits of '\*' are 4.5"):
        quantize_weights(network(), 4.5)
    with pytest.raises(ValueError, match="other_bits is 8"):
        quantize_weights(network(), other_bits=8)
    with pytest.raises(TypeError, match=r"'one.0' is torch.float64; quantize_weights takes network.float\(\)"):
        quantize_weights(network().double())
    broken = nn.Sequential(nn.Linear(3, 3))
    nn.init.constant_(broken[0].weight, torch.nan)
    with pytest.raises(ValueError, match="layer '0' is not finite"):
        quantize_weights(broken)
    nn.init.constant_(broken[0].weight, 1e5)
    with pytest.raises(ValueError, match="'0' is too large for half precision"):
        quantize_weights(broken, 16)
    assert torch.allclose(quantize_weights(broken, 8)[0].weight, broken[0].weight, rtol=0.01)
    with pytest.raises(TypeError, match="state dict"):
        quantize_weights(broken.state_dict())


def test_half_precision_is_refused_where_it_changes_the_largest_value_and_not_for_tiny_ones_beside_it() -> None:
    assert in_half_precision(torch.tensor([0.5, 1e-7, 0.0])) is not None
    assert in_half_precision(torch.tensor([1e-6, 1.3e-6])) is None, "of these half precision keeps two digits"
    assert in_half_precision(torch.tensor([1e5])) is None, "too large"
    assert in_half_precision(torch.zeros(0)) is not None
