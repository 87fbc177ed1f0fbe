"""What collecting statistics leaves of a network, what it refuses, and how statistics are kept."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.torch_lowrank.curvature.statistics_cases import images, network, same
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.decompose import decompose


@pytest.mark.parametrize("classes", [1, 3])
def test_several_passes_give_the_same_as_one(classes):
    model, batches = network(classes=classes), images()
    largest = max(
        8 * moments.columns.numel() + 8 * moments.rows.numel()
        for moments in collect_statistics(model, batches).values()
    )
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    whole = collect_statistics(model, batches)
    assert len(calls) == len(batches)
    parts = collect_statistics(model, batches, memory_limit=largest)
    assert len(calls) >= 3 * len(batches)
    assert list(parts) == list(whole)
    for name, moments in whole.items():
        torch.testing.assert_close(parts[name].columns, moments.columns)
        torch.testing.assert_close(parts[name].rows, moments.rows)


def test_a_limit_too_small_for_one_layer_is_an_error():
    with pytest.raises(ValueError, match="the moments of layer '0' take 2,720 bytes, more than the limit of 1,000"):
        collect_statistics(network(), images(), memory_limit=1000)


@pytest.mark.parametrize("weighting", ["activation", "curvature"])
def test_saved_statistics_are_the_same_and_read_where_asked_for(tmp_path, weighting):
    file = tmp_path / "statistics.safetensors"
    statistics = collect_statistics(network(), images(), weighting=weighting)
    statistics.save(file)
    loaded = Statistics.load(file)
    assert (loaded.weighting, loaded.images, len(loaded)) == (weighting, 6, 4)
    assert same(statistics, loaded)
    assert decompose(network(), statistics=loaded).digest() == decompose(network(), statistics=statistics).digest()
    with pytest.raises(KeyError):
        loaded["1"]
    file.unlink()
    assert list(loaded) == list(statistics)
    with pytest.raises(FileNotFoundError):
        loaded["0"]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\0\0\0\0\0\0\0{}      "])
def test_damaged_statistics_are_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    for file in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(ValueError, match="collect them again"):
            Statistics.load(file)


def state_of(model):
    return (
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
        [parameter.grad for parameter in model.parameters()],
        [len(module._forward_hooks) + len(module._backward_hooks) for module in model.modules()],
        [value.tolist() for value in model.state_dict().values()],
    )


@pytest.mark.parametrize("weighting", ["activation", "curvature"])
def test_the_network_is_given_back_as_it_was(weighting):
    model = nn.Sequential(nn.BatchNorm2d(2), *network(), nn.Dropout(0.5)).train()
    model[1].eval().requires_grad_(False)
    before, fused = state_of(model), torch.backends.mha.get_fastpath_enabled()
    random = torch.get_rng_state()
    collect_statistics(model, images(), weighting=weighting)
    assert state_of(model) == before
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.backends.mha.get_fastpath_enabled() == fused and torch.is_grad_enabled()


def test_the_network_is_given_back_as_it_was_after_an_error():
    model = nn.Sequential(*network(), Divide(0.0), nn.Conv2d(1, 1, 1)).train()
    before = state_of(model)
    with pytest.raises(FloatingPointError):
        collect_statistics(model, images())
    assert state_of(model) == before


def test_operations_in_place_right_after_a_layer_change_nothing():
    assert same(collect_statistics(network(inplace=True), images()), collect_statistics(network(), images()))


def test_statistics_are_collected_where_gradients_are_off():
    with torch.no_grad():
        inside = collect_statistics(network(), images())
    assert same(inside, collect_statistics(network(), images()))


def test_layers_that_no_image_reaches_stay_dense_and_say_so():
    class Part(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Conv2d(2, 4, 3), nn.Conv2d(2, 4, 3)

        def forward(self, x):
            return self.used(x)

    model = Part()
    statistics = collect_statistics(model, images())
    assert list(statistics) == ["used"]
    spectra = decompose(model, "auto", statistics=statistics)
    assert list(spectra.layers) == ["used"]
    assert spectra.skipped == {"unused": "no image of the statistics reached it"}


def test_a_layer_whose_output_is_thrown_away_has_no_gradients():
    class Thrown(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.thrown = nn.Conv2d(2, 1, 3), nn.Conv2d(2, 4, 3)

        def forward(self, x):
            self.thrown(x)
            return self.used(x)

    moments = collect_statistics(Thrown(), images())["thrown"]
    assert float(moments.rows.abs().max()) == 0 < float(moments.columns.abs().max())


def test_a_layer_that_is_called_twice_sees_both_calls():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x):
            return self.conv(input=self.conv(x))

    model = Twice()
    batches = images()
    got = collect_statistics(model, batches)["conv"].columns
    patches = [F.unfold(values, 3, padding=1) for x in batches for values in (x, model.conv(x).detach())]
    patches = torch.cat(patches).transpose(0, 1).flatten(1)
    torch.testing.assert_close(got[0], patches @ patches.mT / patches.shape[1], rtol=1e-5, atol=1e-6)


class Returns(nn.Module):
    """Gives something made of the logits."""

    def __init__(self, made):
        super().__init__()
        self.conv, self.made = nn.Conv2d(2, 1, 3), made

    def forward(self, x):
        return self.made(self.conv(x))


@pytest.mark.parametrize(
    ("made", "name"), [(lambda x: {"out": x}, "dict"), (lambda x: (x, x), "tuple"), (lambda x: x.mean(), "Tensor")]
)
def test_networks_without_logits_are_refused(made, name):
    with pytest.raises(ValueError, match=f"the network returns a {name}; curvature needs logits"):
        collect_statistics(Returns(made), images())


def test_activations_need_no_logits():
    statistics = collect_statistics(Returns(lambda x: {"out": x}), images(), weighting="activation")
    assert list(statistics) == ["conv"]


class Divide(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, x):
        return x / self.by


@pytest.mark.parametrize("weighting", ["activation", "curvature"])
def test_values_that_are_not_finite_name_the_layer(weighting):
    model = nn.Sequential(nn.Conv2d(2, 2, 1), Divide(0.0), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 1, 1))
    with pytest.raises(FloatingPointError, match="layer '2' are not finite"):
        collect_statistics(model, images(), weighting=weighting)


def test_gradients_that_are_not_finite_name_the_layer():
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), Returns(lambda x: x.abs().sqrt()))
    with torch.no_grad():
        model[2].conv.weight.zero_()  # the root has no slope at 0
        model[2].conv.bias.zero_()
    with pytest.raises(FloatingPointError, match="layer '0' are not finite"):
        collect_statistics(model, images())


def test_logits_that_are_not_finite_are_refused():
    with pytest.raises(FloatingPointError, match="not finite"):
        collect_statistics(Returns(lambda x: x / 0), images())


def test_activations_need_no_gradients():
    class Checks(nn.Module):
        def forward(self, x):
            assert not torch.is_grad_enabled()
            return x

    model = nn.Sequential(*network(), Checks())
    statistics = collect_statistics(model, images(), weighting="activation")
    assert statistics.weighting == "activation"
    assert all(moments.rows is None for moments in statistics.values())
    whole = collect_statistics(network(), images())
    assert all(torch.equal(moments.columns, whole[name].columns) for name, moments in statistics.items())
    spectra = decompose(model, statistics=statistics)
    assert spectra.weighting == "activation" and not any(each.absolute for each in spectra.layers.values())


def test_a_tensor_in_place_of_batches_is_refused():
    for tensor in (torch.cat(images()), images()[0][0]):
        with pytest.raises(
            TypeError, match=r"the batches are a tensor of shape .*; give a list of batches, \[images\]"
        ):
            collect_statistics(network(), tensor)
    assert len(collect_statistics(network(), [torch.cat(images())])) == 4


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="weighting is 'none'"):
        collect_statistics(network(), images(), weighting="none")
    with pytest.raises(ValueError, match="there are no batches to take statistics from; give at least one batch"):
        collect_statistics(network(), [])
