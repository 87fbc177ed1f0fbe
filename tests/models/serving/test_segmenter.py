"""What MLflow serves: stored images in, probabilities out."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import torch_lowrank as lr
from models.evaluation.evaluate import predict
from models.preprocessing import Preprocessing
from models.serving.segmenter import Segmenter, _load_pyfunc
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE

PREPROCESSING = Preprocessing(0.3, 0.2, 1, (32, 32))


def variant(classes: int = 1, channels: int = 1) -> Variant:
    torch.manual_seed(0)
    return Variant(BASELINE, UNet(channels, classes, 4).eval(), PREPROCESSING, classes)


def images(number: int, height: int, width: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (number, height, width, channels), np.uint8)


@pytest.mark.parametrize(("classes", "channels"), [(1, 1), (3, 3)])
@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_probabilities_are_those_of_the_network_in_any_batches(classes: int, channels: int, batch_size: int) -> None:
    given, stored = variant(classes, channels), images(5, 37, 50, channels)
    found = Segmenter(given, batch_size=batch_size).predict(stored)
    with torch.inference_mode():
        logits = given.network(PREPROCESSING(stored))
    wanted = torch.sigmoid(logits) if classes == 1 else torch.softmax(logits, 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize("classes", [1, 3])
def test_masks_from_probabilities_are_those_that_were_evaluated(classes: int) -> None:
    given, stored = variant(classes), images(3, 32, 32)
    with torch.no_grad():  # so that about half of the pixels are of the foreground
        given.network.outc.conv.bias -= given.network(PREPROCESSING(stored)).mean((0, 2, 3))
    found = Segmenter(given).predict(stored)
    masks = (found[:, 0] > 0.5) if classes == 1 else found.argmax(1)
    wanted = predict(given.network, stored, PREPROCESSING, classes=classes, batch_size=2, device="cpu")
    assert np.mean(masks == wanted) > 0.999, "values at the threshold may round either way"
    assert 0.1 < np.mean(wanted > 0) < 0.9


def test_no_images_give_no_predictions() -> None:
    assert Segmenter(variant(3)).predict(images(0, 20, 24)).shape == (0, 3, 20, 24)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (images(1, 20, 20).astype(np.float32), r"float32 of shape \(1, 20, 20, 1\); give uint8 \(N, H, W, C\)"),
        (images(1, 20, 20)[..., 0], r"uint8 of shape \(1, 20, 20\); give uint8 \(N, H, W, C\)"),
        (images(1, 20, 20, 3), r"takes \(N, 1, H, W\)"),
    ],
)
def test_other_arrays_are_refused(given: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Segmenter(variant()).predict(given)


def test_logits_that_are_not_finite_are_an_error() -> None:
    broken = variant()
    torch.nn.init.constant_(broken.network.outc.conv.bias, float("inf"))
    with pytest.raises(FloatingPointError, match="not finite"):
        Segmenter(broken).predict(images(1, 20, 20))


def test_a_saved_compressed_variant_is_opened_as_it_was(tmp_path: Path) -> None:
    given = variant()
    small = dataclasses.replace(given, network=lr.compress(given.network, lr.FixedRank(2)).network)
    small.save(tmp_path / "saved")
    stored = images(2, 40, 33)
    found = _load_pyfunc(str(tmp_path / "saved"), {"batch_size": 1}).predict(stored)
    np.testing.assert_array_equal(found, Segmenter(small, batch_size=1).predict(stored))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": "8"}, "batch_size is '8'"),
        ({"gpu": 1}, "has gpu; known"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, config: dict, message: str) -> None:
    variant().save(tmp_path / "saved")
    with pytest.raises(ValueError, match=message):
        _load_pyfunc(str(tmp_path / "saved"), config)
