"""Weight gradients by Winograd: those of torch, where they are used; everything else is torch's own."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.training.fit import fit
from models.training.winograd import FastWeightGradients, _Convolution, weight_gradient
from models.unet import UNet
from tests.models.training.small_training import OPTIONS, PLAIN, TRAIN, VALID

pytestmark = pytest.mark.usefixtures("one_thread")


def reference(images, gradient, filters):
    weight = torch.zeros(filters, images.shape[1], 3, 3, dtype=torch.float64, requires_grad=True)
    F.conv2d(images.double(), weight, padding=1).backward(gradient.double())
    return weight.grad


@pytest.mark.parametrize(
    ("number", "channels", "filters", "height", "width"),
    [(1, 1, 1, 4, 4), (2, 3, 5, 8, 12), (2, 5, 3, 7, 9), (1, 2, 2, 1, 3), (3, 4, 2, 33, 18), (1, 64, 32, 130, 66)],
)
def test_the_gradient_is_that_of_float64(number, channels, filters, height, width):
    torch.manual_seed(0)
    images = torch.randn(number, channels, height, width).contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(number, filters, height, width)
    expected = reference(images, gradient, filters)
    found = weight_gradient(images, gradient)
    assert found.shape == expected.shape
    # 5e-6 of the largest value was measured.
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-5 * float(expected.abs().max()))


def test_another_gradient_fails_that_tolerance():
    torch.manual_seed(0)
    images, gradient = torch.randn(1, 3, 8, 8), torch.randn(1, 2, 8, 8)
    expected, found = reference(images, gradient, 2), weight_gradient(images, gradient.flip(3))
    assert float((found - expected).abs().max()) > 1e-2 * float(expected.abs().max())


def convolutions():
    """Convolutions that are left alone, but for the first three."""
    yield nn.Conv2d(32, 32, 3, padding=1)
    yield nn.Conv2d(32, 48, 3, padding=1, bias=False)
    yield nn.Conv2d(48, 32, 3, padding=1).to(memory_format=torch.channels_last)
    yield nn.Conv2d(16, 32, 3, padding=1)
    yield nn.Conv2d(32, 32, 3, padding=1, stride=2)
    yield nn.Conv2d(32, 32, 3, padding=2, dilation=2)
    yield nn.Conv2d(32, 32, 3, padding=1, groups=2)
    yield nn.Conv2d(32, 32, 3, padding="same")
    yield nn.Conv2d(32, 32, 3, padding=1, padding_mode="reflect")
    yield nn.Conv2d(32, 32, (3, 1), padding=(1, 0))
    yield nn.Conv2d(32, 32, 1)


@pytest.mark.parametrize("index", range(11))
def test_every_convolution_gives_the_same_gradients_with_it_and_without(index, monkeypatch):
    torch.manual_seed(index)
    layer = list(convolutions())[index]
    used, apply = [], _Convolution.apply
    monkeypatch.setattr(_Convolution, "apply", lambda *args: used.append(1) or apply(*args))
    other, images = copy.deepcopy(layer), torch.randn(2, layer.in_channels, 24, 20, requires_grad=True)
    same = images.detach().clone().requires_grad_()
    expected = layer(images)
    with FastWeightGradients():
        found = other(same)
    assert torch.equal(found, expected)
    assert len(used) == (index < 3)
    expected.square().sum().backward()
    found.square().sum().backward()
    torch.testing.assert_close(same.grad, images.grad)
    for one, two in zip(other.parameters(), layer.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=0, atol=2e-5 * float(two.grad.abs().max()))


def test_what_needs_no_gradient_or_has_another_precision_is_left_alone(monkeypatch):
    monkeypatch.setattr(_Convolution, "apply", lambda *_: pytest.fail("it is used"))
    layer, images = nn.Conv2d(32, 32, 3, padding=1), torch.randn(1, 32, 24, 24)
    with FastWeightGradients():
        with torch.no_grad():
            layer(images)
        layer.double()(images.double())
        with torch.autocast("cpu", torch.bfloat16):
            layer.float()(images)
        layer.requires_grad_(False)(images)
        layer(images[0, :, :2, :2])


def test_a_fixed_weight_lets_the_input_learn():
    layer, images = nn.Conv2d(32, 32, 3, padding=1), torch.randn(1, 32, 24, 24, requires_grad=True)
    with FastWeightGradients():
        result = layer(images)
    (of_images,) = torch.autograd.grad(result.sum(), images)
    expected = torch.autograd.grad(layer(images).sum(), images)[0]
    torch.testing.assert_close(of_images, expected)


@pytest.mark.parametrize("gradients", ["winograd", "torch"])
def test_the_option_says_who_computes_weight_gradients_in_training(gradients, tmp_path, monkeypatch):
    used, apply = [], _Convolution.apply
    monkeypatch.setattr(_Convolution, "apply", lambda *args: used.append(1) or apply(*args))
    torch.manual_seed(0)
    network = UNet(1, 1, 32)
    options = dataclasses.replace(OPTIONS, epochs=1, cpu_weight_gradients=gradients)
    fit(network, TRAIN, VALID, PLAIN, options, classes=1, checkpoint_dir=tmp_path, device="cpu")
    assert bool(used) == (gradients == "winograd")


def test_both_ways_train_alike(tmp_path):
    """Up to rounding: 5e-8 was measured."""
    losses = []
    for gradients in ("winograd", "torch"):
        options = dataclasses.replace(OPTIONS, epochs=2, augment="none", lr=1e-4, cpu_weight_gradients=gradients)
        torch.manual_seed(0)
        network = UNet(1, 1, 32)
        history = fit(
            network, TRAIN, VALID, PLAIN, options, classes=1, checkpoint_dir=tmp_path / gradients, device="cpu"
        )
        losses.append([record.train_loss for record in history.epochs])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
