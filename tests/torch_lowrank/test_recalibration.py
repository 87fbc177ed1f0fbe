"""Recalibration: BatchNorm's statistics are those of the images given, and nothing else changes."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch
from torch import nn

from models.preprocessing import ImageBatches, Preprocessing
from models.unet import UNet
from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.ranks.rules import FixedRank
from torch_lowrank.recalibration import recalibrate

PLAIN = Preprocessing(mean=0.5, std=0.25)
CLOSE = {"rtol": 1e-5, "atol": 2e-6}  # float32 sums in another order, as on two threads, differ by 7e-7 here


@pytest.fixture
def images():
    """Dark images first, bright ones last, so that batches differ."""
    ramp = np.linspace(0, 100, 12)[:, None, None, None]
    return (np.random.default_rng(0).integers(0, 150, (12, 16, 16, 2)) + ramp).astype(np.uint8)


@pytest.fixture
def unet():
    torch.manual_seed(0)
    network = UNet(2, 1, 4, dropout=0.5)
    run(network, np.full((4, 16, 16, 2), 90, np.uint8))
    return network


def run(network, images, batch_size=4, chosen=None, device=None):
    chosen = np.arange(len(images)) if chosen is None else chosen
    recalibrate(network, ImageBatches(images, chosen, PLAIN, batch_size, min_batch=2), device=device)


def moments(images):
    """Mean and unbiased variance of each channel after preprocessing, over all pixels of all images."""
    pixels = (images.astype(np.float64) / 255 - 0.5) / 0.25
    return pixels.mean((0, 1, 2)), pixels.reshape(-1, images.shape[-1]).var(0, ddof=1)


def state(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_in_one_batch_the_statistics_are_mean_and_unbiased_variance_of_all_images(images):
    norm = nn.BatchNorm2d(2)
    run(norm, images, batch_size=12)
    mean, variance = moments(images)
    np.testing.assert_allclose(norm.running_mean.numpy(), mean, **CLOSE)
    np.testing.assert_allclose(norm.running_var.numpy(), variance, **CLOSE)
    assert norm.num_batches_tracked == 1


def test_in_several_batches_they_are_the_means_of_the_batches_statistics(images):
    norm = nn.BatchNorm2d(2)
    run(norm, images, batch_size=4)
    variances = [moments(images[first : first + 4])[1] for first in (0, 4, 8)]
    np.testing.assert_allclose(norm.running_mean.numpy(), moments(images)[0], **CLOSE)
    np.testing.assert_allclose(norm.running_var.numpy(), np.mean(variances, axis=0), **CLOSE)
    assert norm.num_batches_tracked == 3


def test_batches_of_like_images_have_the_variance_of_all_images():
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 2), dtype=np.uint8)
    shuffled = np.concatenate([image[:, ::step, ::step] for step in (1, -1)] * 6)
    norm = nn.BatchNorm2d(2)
    run(norm, shuffled, batch_size=5)
    np.testing.assert_allclose(norm.running_mean.numpy(), moments(shuffled)[0], atol=1e-6)
    # 4 images hold 1,024 pixels and 12 hold 3,072: n / (n - 1) differs by 0.7e-3
    np.testing.assert_allclose(norm.running_var.numpy(), moments(shuffled)[1], rtol=1e-3)


@pytest.mark.parametrize(
    ("images", "batch_size", "sizes"),
    [(12, 4, [4, 4, 4]), (10, 4, [4, 3, 3]), (9, 4, [3, 3, 3]), (3, 2, [3]), (5, 2, [3, 2]), (3, 1, [3]), (1, 4, [1])],
)
def test_batches_are_alike_and_none_is_a_single_image(images, batch_size, sizes):
    stored = np.arange(images, dtype=np.uint8)[:, None, None, None]
    batches = ImageBatches(stored, np.arange(images), Preprocessing(0, 1 / 255), batch_size, min_batch=2)
    assert [len(batch) for batch in batches] == sizes
    assert torch.cat(list(batches)).flatten().round().tolist() == list(range(images))


def test_a_single_image_is_enough_where_maps_have_several_pixels(images):
    norm = nn.BatchNorm2d(2)
    run(norm, images[:1])
    np.testing.assert_allclose(norm.running_var.numpy(), moments(images[:1])[1], **CLOSE)


def test_what_was_known_before_does_not_count(images):
    fresh, used = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    used.running_mean.fill_(7)
    used.num_batches_tracked.fill_(1000)
    for norm in (fresh, used):
        run(norm, images)
    assert same(state(fresh), state(used))


def test_only_the_chosen_images_are_read(images):
    chosen = np.array([0, 3, 7])
    norms = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    run(norms[0], images, chosen=chosen)
    run(norms[1], images[chosen])
    assert same(state(norms[0]), state(norms[1]))


def test_memory_mapped_images_are_read_batch_by_batch(images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    sizes = []
    norms = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    norms[0].register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    run(norms[0], np.load(tmp_path / "images.npy", mmap_mode="r"), batch_size=5)
    run(norms[1], images, batch_size=5)
    assert sizes == [4, 4, 4]
    assert same(state(norms[0]), state(norms[1]))


def test_a_network_whose_weights_were_scaled_gets_the_statistics_that_fit(unet, images):
    run(unet, images)
    scaled = copy.deepcopy(unet)
    first = scaled.inc.double_conv[0]
    first.weight.data *= 3
    run(scaled, images)
    before, after = unet.inc.double_conv[1], scaled.inc.double_conv[1]
    torch.testing.assert_close(after.running_mean, 3 * before.running_mean)
    torch.testing.assert_close(after.running_var, 9 * before.running_var)
    inputs = PLAIN(images)
    with torch.no_grad():
        torch.testing.assert_close(scaled.eval()(inputs), unet.eval()(inputs), rtol=1e-3, atol=1e-4)


def test_a_compressed_network_gets_the_statistics_of_its_own_activations(unet, images):
    small = compress(unet, FixedRank(2), spectra=decompose(unet)).network.eval()
    norm, seen = small.inc.double_conv[4], []
    run(small, images, batch_size=12)
    handle = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for module in small.modules():
            module.training = isinstance(module, nn.BatchNorm2d)  # earlier layers use the batch's own statistics
        copy.deepcopy(small)(PLAIN(images))
    handle.remove()
    assert any(type(module).__name__ == "LowRank" for module in small.modules())
    torch.testing.assert_close(norm.running_mean, seen[0].mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, seen[0].transpose(0, 1).flatten(1).var(1))


def test_dropout_stays_off_and_the_result_is_always_the_same(images):
    class Dropping(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Dropout(0.9), nn.BatchNorm2d(2))

    networks = Dropping(), Dropping()
    for seed, network in enumerate(networks):
        torch.manual_seed(seed)
        run(network, images, batch_size=12)
    assert same(state(networks[0]), state(networks[1]))
    np.testing.assert_allclose(networks[0][1].running_mean.numpy(), moments(images)[0], **CLOSE)


def test_modes_momentum_weights_and_device_are_as_before(unet, images):
    unet.train()
    unet.down1.eval()
    momenta = {}
    for number, norm in enumerate(module for module in unet.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.momentum = momenta[norm] = None if number == 1 else 0.1 + number / 100
    modes = {module: module.training for module in unet.modules()}
    weights = {name: parameter.clone() for name, parameter in unet.named_parameters()}
    run(unet, images)
    assert {module: module.training for module in unet.modules()} == modes
    assert {norm: norm.momentum for norm in momenta} == momenta
    assert same(weights, dict(unet.named_parameters()))
    assert all(parameter.requires_grad and not parameter.is_inference() for parameter in unet.parameters())
    assert {tensor.device.type for tensor in unet.state_dict().values()} == {"cpu"}
    assert not any(buffer.is_inference() for buffer in unet.buffers())


def test_batchnorm_that_tracks_nothing_or_is_not_reached_is_left_alone(images):
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.used = nn.BatchNorm2d(2)
            self.spare = nn.BatchNorm2d(2)
            self.memoryless = nn.BatchNorm2d(2, track_running_stats=False)

        def forward(self, x):
            return self.memoryless(self.used(x))

    network = Branching()
    network.spare.running_mean.fill_(5)
    network.spare.num_batches_tracked.fill_(9)
    run(network, images)
    assert network.spare.running_mean.tolist() == [5, 5]
    assert network.spare.num_batches_tracked == 9
    assert network.used.num_batches_tracked == 3


def test_a_network_without_batchnorm_is_not_even_run(images):
    class Silent(nn.Module):
        def forward(self, x):
            raise AssertionError

    run(Silent(), images)


def test_statistics_that_are_not_finite_are_an_error_and_leave_the_network_untouched(unet, images):
    unet.down2.maxpool_conv[1].double_conv[0].weight.data.fill_(float("inf"))
    before, momentum = state(unet), unet.inc.double_conv[1].momentum
    with pytest.raises(FloatingPointError, match=r"input of down2\.maxpool_conv\.1\.double_conv\.1 \(BatchNorm2d\)"):
        run(unet, images)
    assert same(state(unet), before)
    assert unet.training
    assert unet.inc.double_conv[1].momentum == momentum


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": np.zeros((0, 16, 16, 2), np.uint8)}, "there are no batches to estimate"),
        ({"images": np.zeros((4, 16, 16, 2), np.float32)}, "give uint8"),
        ({"chosen": np.array([], int)}, "there are no batches to estimate"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_wrong_input_is_refused_and_leaves_the_network_untouched(unet, images, changes, said):
    before = state(unet)
    with pytest.raises(ValueError, match=said):
        run(unet, **{"images": images, **changes})
    assert same(state(unet), before)


@pytest.mark.parametrize("network", [nn.BatchNorm2d(2), nn.ReLU()])
def test_a_tensor_in_place_of_batches_is_refused_and_leaves_the_network_untouched(network):
    before = state(network)
    with pytest.raises(TypeError, match=r"tensor of shape \(4, 2, 8, 8\); give a list of batches, \[images\]"):
        recalibrate(network, torch.ones(4, 2, 8, 8))
    assert same(state(network), before)


def test_a_terminal_gets_a_progress_bar(images, monkeypatch, capfd):
    run(nn.BatchNorm2d(2), images)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run(nn.BatchNorm2d(2), images)
    assert "recalibrate" in capfd.readouterr().err


@pytest.mark.cuda
def test_on_cuda_the_statistics_are_those_of_the_cpu(unet, images):
    if not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA")
    other = copy.deepcopy(unet)
    run(unet, images)
    run(other, images, device="cuda")
    assert {tensor.device.type for tensor in other.state_dict().values()} == {"cpu"}
    for key, value in unet.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=1e-2, atol=1e-3)
