"""Evaluation: the same for any batch size, and without a trace on the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from models.evaluation.evaluate import evaluate, predict
from models.preprocessing import Preprocessing
from models.unet import UNet

PLAIN = Preprocessing(mean=0.5, std=0.25)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 18, 21, 1), dtype=np.uint8)


class Threshold(nn.Module):
    """Predicts foreground where the image is brighter than the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.scale


def test_preprocessing_normalises_and_permutes(images):
    batch = PLAIN(images)
    assert batch.shape == (7, 1, 18, 21)
    assert batch.dtype == torch.float32
    expected = (images[..., 0].astype(np.float64) / 255 - 0.5) / 0.25
    np.testing.assert_allclose(batch[:, 0].numpy(), expected, atol=1e-6)
    torch.testing.assert_close(PLAIN(torch.from_numpy(images)), batch)


def test_preprocessing_gives_channels_last_and_leaves_its_input_alone():
    stored = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    before = stored.copy()
    assert PLAIN(stored).is_contiguous(memory_format=torch.channels_last)
    assert (stored == before).all()


@pytest.mark.parametrize("std", [0.0, -1.0, float("nan"), float("inf")])
def test_preprocessing_refuses_a_std_that_is_not_positive(std):
    with pytest.raises(ValueError, match="give a positive number"):
        Preprocessing(mean=0.0, std=std)


def test_preprocessing_refuses_what_is_not_uint8_of_four_dimensions(images):
    with pytest.raises(ValueError, match="give uint8"):
        PLAIN(images.astype(np.float32))
    with pytest.raises(ValueError, match="give uint8"):
        PLAIN(images[0])


def test_a_perfect_network_has_dice_one_and_an_inverted_one_zero(images):
    masks = (images[..., 0] > 127).astype(np.uint8)
    arguments = {"classes": 1, "batch_size": 3, "device": "cpu"}
    perfect = evaluate(Threshold(), images, masks, PLAIN, **arguments).metrics
    assert perfect.pop("hausdorff95_px") == 0.0
    assert set(perfect.values()) == {1.0}
    assert evaluate(Threshold(), images, 1 - masks, PLAIN, **arguments).metrics["dice"] == 0.0


@pytest.mark.parametrize("classes", [1, 3])
def test_metrics_do_not_depend_on_the_batch_size(images, classes):
    torch.manual_seed(0)
    network = UNet(1, classes, 2)
    masks = np.random.default_rng(1).integers(0, max(2, classes), images.shape[:3], dtype=np.uint8)
    results = [
        evaluate(network, images, masks, PLAIN, classes=classes, batch_size=size, device="cpu") for size in (1, 3, 100)
    ]
    for result in results[1:]:
        assert result.metrics == pytest.approx(results[0].metrics, abs=1e-12)
    assert len(results[0].per_image["dice"]) == 7
    assert results[0].metrics["dice"] == pytest.approx(np.mean(results[0].per_image["dice"]))


def test_memory_mapped_images_are_read(images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert (predict(Threshold(), mapped, PLAIN, classes=1, batch_size=3, device="cpu") == (images[..., 0] > 127)).all()


def test_every_module_keeps_its_mode_and_its_statistics(images):
    network = UNet(1, 1, 2).train()
    network.down1.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    predict(network, images, PLAIN, classes=1, batch_size=3, device="cpu")
    assert network.training
    assert network.up1.training
    assert not network.down1.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.requires_grad and not parameter.is_inference() for parameter in network.parameters())


def test_predict_gives_labels_of_the_largest_logit(images):
    torch.manual_seed(0)
    network = UNet(1, 4, 2).eval()
    masks = predict(network, images, PLAIN, classes=4, device="cpu", batch_size=2)
    with torch.no_grad():
        expected = network(PLAIN(images)).argmax(1).numpy()
    assert masks.dtype == np.uint8
    assert (masks == expected).mean() > 0.999  # batches of other sizes round differently


def test_logits_that_are_not_finite_are_an_error(images):
    network = Threshold()
    network.scale.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite for images 0 to 2"):
        predict(network, images, PLAIN, classes=1, device="cpu", batch_size=3)
    assert network.training


def test_masks_of_another_shape_are_refused(images):
    with pytest.raises(ValueError, match="images have shape"):
        evaluate(Threshold(), images, np.zeros((7, 18, 20), np.uint8), PLAIN, classes=1, batch_size=2, device="cpu")


def test_an_empty_split_and_a_batch_size_of_zero_are_refused(images):
    masks = np.zeros(images.shape[:3], np.uint8)
    with pytest.raises(ValueError, match="no images"):
        evaluate(Threshold(), images[:0], masks[:0], PLAIN, classes=1, batch_size=2, device="cpu")
    with pytest.raises(ValueError, match="batch_size is 0"):
        evaluate(Threshold(), images, masks, PLAIN, classes=1, batch_size=0, device="cpu")
