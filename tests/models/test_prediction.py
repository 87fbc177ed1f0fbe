"""Masks of images of any size, and the same as in evaluation where the size is the network's."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dataset.pictures.read import Picture
from models.evaluation.evaluate import evaluate, predict
from models.networks.errors import NetworkError
from models.prediction import check_runs, predict_masks, read_as
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant, VariantError
from models.variant_spec import BASELINE

SIZE = (32, 48)


def variant(classes: int = 1, channels: int = 1, **known: object) -> Variant:
    torch.manual_seed(0)
    network = UNet(in_channels=channels, classes=classes, base_filters=4).eval()
    preprocessing = Preprocessing(0.5, 0.2, **known)
    last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
    with torch.no_grad():  # each label wins somewhere
        last.bias -= network(preprocessing(images(1, channels))).median(dim=2).values.median(dim=2).values[0]
    return Variant(BASELINE, network, preprocessing, classes)


def picture(name: str, stored: np.ndarray, size: tuple[int, int] | None = None) -> Picture:
    height, width = size or stored.shape[:2]
    pixels = cv2.resize(stored, (width, height), interpolation=cv2.INTER_LINEAR)
    return Picture(name, pixels.reshape(height, width, stored.shape[2]), stored)


def images(count: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *SIZE, channels), dtype=np.uint8)


@pytest.mark.parametrize(("classes", "channels"), [(1, 1), (1, 3), (3, 1)])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_images_of_the_networks_size_get_the_masks_that_evaluation_counts(
    classes: int, channels: int, batch_size: int
) -> None:
    network, stored = variant(classes, channels), images(6, channels)
    predicted = list(
        predict_masks(network, [picture(f"{i}", image) for i, image in enumerate(stored)], batch_size=batch_size)
    )
    evaluated = predict(
        network.network, stored, network.preprocessing, classes=classes, batch_size=batch_size, device="cpu"
    )
    assert [each.name for each in predicted] == [f"{i}" for i in range(6)]
    masks = np.stack([each.labels for each in predicted])
    np.testing.assert_array_equal(masks, evaluated)
    assert 0 < (masks > 0).mean() < 1
    truth = np.random.default_rng(1).integers(0, max(classes, 2), masks.shape, dtype=np.uint8)
    measured = evaluate(
        network.network, stored, truth, network.preprocessing, classes=classes, batch_size=batch_size, device="cpu"
    )
    if classes == 1:
        dice = [2 * (mask & true).sum() / (mask.sum() + true.sum()) for mask, true in zip(masks, truth, strict=True)]
        assert measured.per_image["dice"] == pytest.approx(dice)


class Fixed(nn.Module):
    """Gives the same logits for every image."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), *self.logits.shape)


def of_logits(logits: torch.Tensor) -> Variant:
    return Variant(BASELINE, Fixed(logits), Preprocessing(0.5, 0.2), len(logits))


def test_a_tiny_positive_logit_is_a_lesion_as_in_evaluation() -> None:
    """Its probability is one half to the last digit."""
    logits = torch.full((1, *SIZE), 1e-12)
    (predicted,) = predict_masks(of_logits(logits), [picture("a", images(1)[0])])
    assert predicted.labels.min() == 1


def test_probabilities_and_not_labels_are_resized() -> None:
    """Between a column of probability 0.2 and one of 0.7, the edge at 0.5 lies nearer to the second."""
    logits = torch.logit(torch.tensor([0.2, 0.7])).repeat(1, 2, 1)  # 1 x 2 x 2
    stored = np.zeros((2, 2, 1), np.uint8)
    (predicted,) = predict_masks(of_logits(logits), [picture("a", stored, (2, 40))])
    assert predicted.labels.shape == (2, 40)
    centres = (np.arange(40) + 0.5) / 20 - 0.5  # of the pixels, in columns of the network
    expected = np.interp(centres, [0, 1], [0.2, 0.7])
    np.testing.assert_allclose(predicted.probability[0], expected, atol=1e-6)
    np.testing.assert_array_equal(predicted.labels[0], expected > 0.5)


@pytest.mark.parametrize("size", [(16, 24), (64, 96), (33, 47), (100, 20)])
@pytest.mark.parametrize("classes", [1, 3])
def test_masks_have_the_size_of_their_images(size: tuple[int, int], classes: int) -> None:
    network = variant(classes)
    (predicted,) = predict_masks(network, [picture("a", images(1)[0], size)])
    assert predicted.labels.shape == predicted.probability.shape == size == predicted.image.shape[:2]
    assert predicted.labels.dtype == np.uint8
    sure = predicted.probability[predicted.labels > 0]
    assert sure.size == 0 or sure.min() >= (0.5 if classes == 1 else 1 / 3)


def test_the_label_of_the_largest_resized_probability_is_taken() -> None:
    probabilities = torch.tensor([[0.5, 0.1], [0.3, 0.3], [0.2, 0.6]])[:, None].repeat(1, 2, 1)  # 3 x 2 x 2
    (predicted,) = predict_masks(of_logits(probabilities.log()), [picture("a", np.zeros((2, 2, 1), np.uint8), (2, 8))])
    assert predicted.labels[0].tolist() == [0, 0, 0, 0, 2, 2, 2, 2]
    assert predicted.probability[0, 0] == pytest.approx(0.5)
    assert predicted.probability[0, -1] == pytest.approx(0.6)


def test_few_images_are_read_ahead() -> None:
    read = []

    def reading():
        for i, image in enumerate(images(12)):
            read.append(i)
            yield picture(f"{i}", image)

    predicted = predict_masks(variant(), reading(), batch_size=3)
    next(predicted)
    assert read == [0, 1, 2]


def test_a_network_ends_in_the_mode_it_had_and_leaves_no_mode_to_the_caller() -> None:
    network = variant()
    network.network.train()
    for _ in predict_masks(network, [picture("a", images(1)[0])]):
        assert not torch.is_inference_mode_enabled()
    assert network.network.training


def test_logits_that_are_not_finite_name_the_image() -> None:
    logits = torch.full((1, *SIZE), torch.nan)
    with pytest.raises(FloatingPointError, match=r"not finite for scan\.png: its weights have diverged"):
        list(predict_masks(of_logits(logits), [picture("scan.png", images(1)[0])]))


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        list(predict_masks(variant(), [], batch_size=0))


def test_how_images_are_read_is_the_networks_own_unless_it_is_said_otherwise() -> None:
    known = variant(channels=3, image_size=(64, 96), interpolation="cubic")
    read = read_as(known).preprocessing
    assert (read.image_size, read.channels, read.interpolation) == ((64, 96), 3, "cubic")  # channels: of its arguments
    other = read_as(known, (32, 32), 3, "area").preprocessing
    assert (other.image_size, other.channels, other.interpolation) == ((32, 32), 3, "area")
    assert (other.mean, other.std) == (0.5, 0.2)


def test_what_an_older_folder_does_not_say_is_asked_for(tmp_path: Path) -> None:
    variant().save(tmp_path / "network")
    old = Variant.load(tmp_path / "network")
    with pytest.raises(VariantError, match=r"does not say the image_size .* give it, as --image_size 256 256"):
        read_as(old)
    assert read_as(old, (64, 64)).preprocessing.image_size == (64, 64)
    silent = dataclasses.replace(old, network=Fixed(torch.zeros(1, 2, 2)))
    with pytest.raises(VariantError, match="does not say the channels"):
        read_as(silent, (64, 64))
    assert read_as(silent, (64, 64), 3).preprocessing.channels == 3


def test_channels_that_contradict_the_network_are_refused() -> None:
    with pytest.raises(VariantError, match="the network takes 1 channels: leave out --channels 3"):
        read_as(variant(), SIZE, 3)
    with pytest.raises(VariantError, match="takes 4 channels, and images are read as gray"):
        read_as(variant(channels=4), SIZE)


def test_a_network_is_tried_on_a_black_image() -> None:
    check_runs(variant(), SIZE, 1)
    odd = Variant(BASELINE, nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()), Preprocessing(0.5, 0.2), 1)
    with pytest.raises(VariantError, match=r"gives \(1, 1, 30, 46\) for an image, not logits \(1, 1, 32, 48\)"):
        check_runs(odd, SIZE, 1)
    with pytest.raises(NetworkError, match=r"cannot be run on images of 32x48 with 3 channels.*--image_size"):
        check_runs(variant(), SIZE, 3)
