"""Second moments against direct computations, position by position."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.torch_lowrank.curvature.statistics_cases import images, network, same
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.layers.unfolding import FOLDINGS


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
    layer, moments = model.get_submodule(name), collect_statistics(model, batches)[name]
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
    torch.testing.assert_close(collect_statistics(model, batches)["4"].columns, expected, rtol=1e-5, atol=1e-6)
    linear, rows = nn.Linear(5, 1), [torch.randn(4, 5), torch.randn(3, 5)]
    vectors = torch.cat(rows)
    torch.testing.assert_close(collect_statistics(linear, rows)[""].columns[0], vectors.mT @ vectors / 7)


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
    got = collect_statistics(model, batches, seed=5)[name].rows
    torch.testing.assert_close(got, (total / count).float(), rtol=1e-4, atol=1e-4 * float(total.abs().max()) / count)


def test_gradients_of_a_linear_layer_have_the_moment_of_the_prediction():
    torch.manual_seed(0)
    layer, batches = nn.Linear(4, 3), [torch.randn(3000, 4)]
    rows = collect_statistics(layer, batches)[""].rows[0].double()
    prediction = layer(batches[0]).softmax(1).detach().double()
    expected = torch.diag(prediction.mean(0)) - prediction.mT @ prediction / len(prediction)
    torch.testing.assert_close(rows, expected, rtol=0, atol=0.02)  # 3,000 draws
    torch.testing.assert_close(rows.sum(0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-6)


def test_the_seed_decides_the_labels_and_nothing_else():
    model, batches = network(), images()
    one, again, other = (collect_statistics(model, batches, seed=seed) for seed in (0, 0, 1))
    assert same(one, again)
    for name in one:
        assert torch.equal(one[name].columns, other[name].columns)
        assert not torch.equal(one[name].rows, other[name].rows)


def test_sampling_large_images_comes_near_all_positions():
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(2, 2, 130, 130, generator=generator) for _ in range(16)]
    batches = [F.avg_pool2d(each, 3, 1) for each in noise]  # 16 x 2 x 128 x 128 positions, 16 times as many as taken
    model = network().eval()
    statistics = collect_statistics(model, batches)
    patches = torch.cat([F.unfold(batch, 3, padding=1).transpose(0, 1).flatten(1) for batch in batches], 1)
    expected = (patches @ patches.mT / patches.shape[1])[None]
    assert float((statistics["0"].columns - expected).norm() / expected.norm()) < 0.02
    many = collect_statistics(
        model, [image[None] for batch in batches for image in batch]
    )  # 32 batches: other positions
    for name in statistics:
        one, other = statistics[name], many[name]
        assert float((one.columns - other.columns).norm() / one.columns.norm()) < 0.05
        assert float((one.rows - other.rows).norm() / one.rows.norm()) < 0.2


def test_shapes_are_those_of_the_channel_scheme():
    model = network()
    for name, moments in collect_statistics(model, images()).items():
        layer = model.get_submodule(name)
        groups, rows, columns = FOLDINGS[type(layer), "channel"].matrix(layer).shape
        assert moments.columns.shape == (groups, columns, columns)
        assert moments.rows.shape == (groups, rows, rows)
