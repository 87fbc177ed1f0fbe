"""Second moments against direct computations, position by position, and what collecting leaves of a network."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.foldings import FOLDINGS
from models.moments import Statistics
from models.spectra import decompose
from models.statistics import collect


def images(number=2, batch=3, channels=2, size=(8, 7)):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(batch, channels, *size, generator=generator) for _ in range(number)]


def network(inplace=False, classes=1):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(inplace=inplace),
        nn.Conv2d(4, 6, (3, 2), stride=2, padding=1, dilation=(2, 1), groups=2),
        nn.ReLU(inplace=inplace),
        nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, groups=2),
        nn.ReLU(inplace=inplace),
        nn.Conv2d(4, classes, 1),
    )


def run(model, batch):
    """Returns the inputs and outputs of every layer of a sequence, outputs with gradients."""
    inputs, outputs = {}, {}
    values = batch.clone()
    for index, layer in enumerate(model):
        inputs[str(index)] = values.detach()
        values = layer(values)
        if values.requires_grad:
            values.retain_grad()
        outputs[str(index)] = values
    return inputs, outputs, values


@pytest.mark.parametrize("name", ["0", "2", "6"])
def test_columns_are_the_mean_over_all_patches(name):
    model, batches = network().eval(), images()
    layer, moments = model.get_submodule(name), collect(model, batches)[name]
    patches = []
    for batch in batches:
        values = run(model, batch)[0][name]
        cut = F.unfold(values, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # (N, I kh kw, L)
        patches.append(cut.unflatten(1, (layer.groups, -1)).permute(1, 2, 0, 3).flatten(2))
    patches = torch.cat(patches, 2).double()
    torch.testing.assert_close(moments.columns.double(), patches @ patches.mT / patches.shape[2], rtol=1e-5, atol=1e-6)


def test_columns_of_transposed_and_linear_layers_are_those_of_their_inputs():
    model, batches = network().eval(), images()
    vectors = torch.cat([run(model, batch)[0]["4"] for batch in batches]).transpose(0, 1).flatten(1)
    vectors = vectors.unflatten(0, (2, -1)).detach()
    expected = vectors @ vectors.mT / vectors.shape[2]
    torch.testing.assert_close(collect(model, batches)["4"].columns, expected, rtol=1e-5, atol=1e-6)
    linear, rows = nn.Linear(5, 1), [torch.randn(4, 5), torch.randn(3, 5)]
    vectors = torch.cat(rows)
    torch.testing.assert_close(collect(linear, rows)[""].columns[0], vectors.mT @ vectors / 7)


def drawn_loss(logits, generator):
    """The cross entropy for labels drawn from the prediction, scaled as in a mean over the positions of an image."""
    exact = logits.detach().double()
    if logits.shape[1] == 1:
        labels = torch.bernoulli(exact.sigmoid(), generator=generator).float()
        loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    else:
        table = exact.softmax(1).movedim(1, -1).flatten(0, -2)
        labels = torch.multinomial(table, 1, generator=generator).reshape(len(logits), *logits.shape[2:])
        loss = F.cross_entropy(logits, labels, reduction="sum")
    return loss * logits[0, 0].numel() ** -0.5


def vectors_at(layer, gradient, height, width):
    """Yields for every position what the rows of the channel matrix meet, (groups, m), one Python loop a position."""
    if not isinstance(layer, nn.ConvTranspose2d):
        for row in range(height):
            for column in range(width):
                yield gradient[:, row, column].reshape(layer.groups, -1)
        return
    for row in range(height):
        for column in range(width):
            patch = torch.zeros(gradient.shape[0], *layer.kernel_size)
            for i in range(layer.kernel_size[0]):
                for j in range(layer.kernel_size[1]):
                    y = row * layer.stride[0] - layer.padding[0] + i
                    x = column * layer.stride[1] - layer.padding[1] + j
                    if 0 <= y < gradient.shape[1] and 0 <= x < gradient.shape[2]:
                        patch[:, i, j] = gradient[:, y, x]
            yield patch.reshape(layer.groups, -1)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", ["0", "2", "4", "6"])
def test_rows_are_the_sum_over_positions_for_the_drawn_labels(name, classes):
    model, batches = network(classes=classes).eval(), images()
    layer, generator = model.get_submodule(name), torch.Generator().manual_seed(5)
    total, count = 0.0, 0
    for batch in batches:
        inputs, outputs, logits = run(model, batch)
        drawn_loss(logits, generator).backward()
        transposed = isinstance(layer, nn.ConvTranspose2d)
        sizes = (inputs if transposed else outputs)[name].shape[2:]
        for gradient in outputs[name].grad:
            for vector in vectors_at(layer, gradient, *sizes):
                total = total + vector[:, :, None] * vector[:, None, :]
            count += 1
    model.zero_grad()
    got = collect(model, batches, seed=5)[name].rows
    torch.testing.assert_close(got, (total / count).float(), rtol=1e-4, atol=1e-4 * float(total.abs().max()) / count)


def test_gradients_of_a_linear_layer_have_the_moment_of_the_prediction():
    torch.manual_seed(0)
    layer, batches = nn.Linear(4, 3), [torch.randn(3000, 4)]
    rows = collect(layer, batches)[""].rows[0].double()
    prediction = layer(batches[0]).softmax(1).detach().double()
    expected = torch.diag(prediction.mean(0)) - prediction.mT @ prediction / len(prediction)
    torch.testing.assert_close(rows, expected, rtol=0, atol=0.02)  # 3,000 draws
    torch.testing.assert_close(rows.sum(0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("classes", [1, 3])
def test_several_passes_give_the_same_as_one(classes):
    model, batches = network(classes=classes), images()
    largest = max(
        8 * moments.columns.numel() + 8 * moments.rows.numel() for moments in collect(model, batches).values()
    )
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    whole = collect(model, batches)
    assert len(calls) == len(batches)
    parts = collect(model, batches, memory_limit=largest)
    assert len(calls) >= 3 * len(batches)
    assert list(parts) == list(whole)
    for name, moments in whole.items():
        torch.testing.assert_close(parts[name].columns, moments.columns)
        torch.testing.assert_close(parts[name].rows, moments.rows)


def test_a_limit_too_small_for_one_layer_is_an_error():
    with pytest.raises(ValueError, match="the moments of layer '0' take 2,720 bytes, more than the limit of 1,000"):
        collect(network(), images(), memory_limit=1000)


def same(one, other):
    return list(one) == list(other) and all(
        torch.equal(one[name].columns, other[name].columns)
        and (one[name].rows is None) == (other[name].rows is None)
        and (one[name].rows is None or torch.equal(one[name].rows, other[name].rows))
        for name in one
    )


@pytest.mark.parametrize("weighting", ["activation", "curvature"])
def test_saved_statistics_are_the_same_and_read_where_asked_for(tmp_path, weighting):
    file = tmp_path / "statistics.safetensors"
    statistics = collect(network(), images(), weighting=weighting)
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
    collect(model, images(), weighting=weighting)
    assert state_of(model) == before
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.backends.mha.get_fastpath_enabled() == fused and torch.is_grad_enabled()


def test_the_network_is_given_back_as_it_was_after_an_error():
    model = nn.Sequential(*network(), Divide(0.0), nn.Conv2d(1, 1, 1)).train()
    before = state_of(model)
    with pytest.raises(FloatingPointError):
        collect(model, images())
    assert state_of(model) == before


def test_operations_in_place_right_after_a_layer_change_nothing():
    assert same(collect(network(inplace=True), images()), collect(network(), images()))


def test_statistics_are_collected_where_gradients_are_off():
    with torch.no_grad():
        inside = collect(network(), images())
    assert same(inside, collect(network(), images()))


def test_layers_that_no_image_reaches_stay_dense_and_say_so():
    class Part(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Conv2d(2, 4, 3), nn.Conv2d(2, 4, 3)

        def forward(self, x):
            return self.used(x)

    model = Part()
    statistics = collect(model, images())
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

    moments = collect(Thrown(), images())["thrown"]
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
    got = collect(model, batches)["conv"].columns
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
    with pytest.raises(ValueError, match=f"the network gives a {name}; statistics need logits"):
        collect(Returns(made), images())


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
        collect(model, images(), weighting=weighting)


def test_gradients_that_are_not_finite_name_the_layer():
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), Returns(lambda x: x.abs().sqrt()))
    with torch.no_grad():
        model[2].conv.weight.zero_()  # the root has no slope at 0
        model[2].conv.bias.zero_()
    with pytest.raises(FloatingPointError, match="layer '0' are not finite"):
        collect(model, images())


def test_logits_that_are_not_finite_are_refused():
    with pytest.raises(FloatingPointError, match="not finite"):
        collect(Returns(lambda x: x / 0), images())


def test_the_seed_decides_the_labels_and_nothing_else():
    model, batches = network(), images()
    one, again, other = (collect(model, batches, seed=seed) for seed in (0, 0, 1))
    assert same(one, again)
    for name in one:
        assert torch.equal(one[name].columns, other[name].columns)
        assert not torch.equal(one[name].rows, other[name].rows)


def test_activations_need_no_gradients():
    class Checks(nn.Module):
        def forward(self, x):
            assert not torch.is_grad_enabled()
            return x

    model = nn.Sequential(*network(), Checks())
    statistics = collect(model, images(), weighting="activation")
    assert statistics.weighting == "activation"
    assert all(moments.rows is None for moments in statistics.values())
    whole = collect(network(), images())
    assert all(torch.equal(moments.columns, whole[name].columns) for name, moments in statistics.items())
    spectra = decompose(model, statistics=statistics)
    assert spectra.weighting == "activation" and not any(each.absolute for each in spectra.layers.values())


def test_sampling_large_images_comes_near_all_positions():
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(2, 2, 130, 130, generator=generator) for _ in range(16)]
    batches = [F.avg_pool2d(each, 3, 1) for each in noise]  # 16 x 2 x 128 x 128 positions, 16 times as many as taken
    model = network().eval()
    statistics = collect(model, batches)
    patches = torch.cat([F.unfold(batch, 3, padding=1).transpose(0, 1).flatten(1) for batch in batches], 1)
    expected = (patches @ patches.mT / patches.shape[1])[None]
    assert float((statistics["0"].columns - expected).norm() / expected.norm()) < 0.02
    many = collect(model, [image[None] for batch in batches for image in batch])  # 32 batches: other positions
    for name in statistics:
        one, other = statistics[name], many[name]
        assert float((one.columns - other.columns).norm() / one.columns.norm()) < 0.05
        assert float((one.rows - other.rows).norm() / one.rows.norm()) < 0.2


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="weighting is 'none'"):
        collect(network(), images(), weighting="none")
    with pytest.raises(ValueError, match="give at least one batch"):
        collect(network(), [])


def test_shapes_are_those_of_the_channel_scheme():
    model = network()
    for name, moments in collect(model, images()).items():
        layer = model.get_submodule(name)
        groups, rows, columns = FOLDINGS[type(layer), "channel"].matrix(layer).shape
        assert moments.columns.shape == (groups, columns, columns)
        assert moments.rows.shape == (groups, rows, rows)
