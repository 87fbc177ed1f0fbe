"""Hausdorff distances, by hand and against MONAI."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from models.evaluation.evaluate import evaluate
from models.evaluation.hausdorff import hausdorff95
from models.preprocessing import Preprocessing


def square(top: int, left: int, side: int, size: int = 32) -> np.ndarray:
    mask = np.zeros((size, size), dtype=np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


@pytest.mark.parametrize(
    ("prediction", "truth", "distance"),
    [
        (square(4, 4, 6), square(4, 4, 6), 0.0),
        (square(4, 4, 6), square(4, 7, 6), 3.0),  # moved by three pixels: the leading edge is three off
        (square(0, 0, 1), square(3, 4, 1), 5.0),  # two pixels, 3-4-5
        (square(0, 0, 0), square(0, 0, 0), 0.0),  # neither has a lesion: right
        (square(0, 0, 0), square(4, 4, 6), math.hypot(32, 32)),  # missed
        (square(4, 4, 6), square(0, 0, 0), math.hypot(32, 32)),  # invented
    ],
)
def test_hand_computed_distances(prediction: np.ndarray, truth: np.ndarray, distance: float) -> None:
    assert hausdorff95(prediction[None], truth[None], 2) == [pytest.approx(distance)]


def test_several_labels_count_alike_where_they_are_present() -> None:
    prediction = square(4, 4, 6) + 2 * square(20, 20, 4)
    truth = square(4, 7, 6) + 2 * square(20, 20, 4)
    assert hausdorff95(prediction[None], truth[None], 4) == [pytest.approx((3 + 0) / 2)]


@pytest.mark.filterwarnings("ignore")
def test_it_agrees_with_monai() -> None:
    from monai.metrics import compute_hausdorff_distance  # noqa: PLC0415 - seconds of imports

    rng = np.random.default_rng(0)
    masks = [(gaussian_filter(rng.normal(size=(20, 40, 52)), (0, 4, 4)) > 0.05).astype(np.uint8) for _ in range(2)]
    expected = compute_hausdorff_distance(
        *(torch.from_numpy(mask)[:, None] for mask in masks), include_background=True, percentile=95
    )
    assert hausdorff95(masks[0], masks[1], 2) == pytest.approx(expected[:, 0].tolist())


def test_an_evaluation_has_the_distance_of_every_image_and_their_mean() -> None:
    truth = np.stack([square(4, 4, 6), square(4, 4, 6)])
    images = 255 * np.stack([square(4, 4, 6), square(4, 7, 6)])[..., None]
    found = evaluate(torch.nn.Identity(), images, truth, Preprocessing(0.5, 0.5), classes=1, batch_size=1, device="cpu")
    assert found.per_image["hausdorff95_px"] == [0.0, 3.0]
    assert found.metrics["hausdorff95_px"] == 1.5
    assert found.per_image["lesion_px"] == [36.0, 36.0]


def test_images_that_do_not_pair_up_are_refused() -> None:
    mask = square(4, 4, 6)
    with pytest.raises(ValueError, match="shorter"):
        hausdorff95(np.stack([mask, mask]), mask[None], 2)
