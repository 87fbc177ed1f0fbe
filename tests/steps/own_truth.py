"""A network that has learned nothing, and images whose truth is what it predicts: its Dice is 1."""

import types

import numpy as np
import torch

from models.evaluation.evaluate import evaluate, predict
from models.evaluation.results import Cost, EvaluationResult
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE

HOW = {"classes": 1, "batch_size": 4, "device": "cpu"}


class Images:
    """A split of stored images whose truth is what the baseline predicts."""

    def __init__(self, baseline: Variant, seed: int) -> None:
        random = np.random.default_rng(seed)
        smooth = torch.from_numpy(random.random((12, 1, 4, 4), dtype=np.float32))
        large = torch.nn.functional.interpolate(smooth, 32, mode="bilinear")
        self.images = (255 * large).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        self.masks = predict(baseline.network, self.images, baseline.preprocessing, **HOW)

    def sample(self, number: int, seed: int) -> np.ndarray:
        return np.arange(min(number, len(self.images)))


class Data(dict):
    """Splits, as a stored data set has them."""

    manifest = types.SimpleNamespace(channels=1, image_size=(32, 32))
    classes = 1


def untrained() -> Variant:
    """Returns a network that marks about half of every image."""
    torch.manual_seed(0)
    network = UNet(base_filters=4).eval()
    with torch.no_grad():
        logits = network(torch.rand(8, 1, 32, 32) * 5)
        network.outc.conv.bias -= logits.median()
    return Variant(BASELINE, network, Preprocessing(0.18, 0.18), 1)


def data_of(baseline: Variant) -> Data:
    return Data({name: Images(baseline, seed) for seed, name in enumerate(("train", "valid"))})


def result_of(baseline: Variant, dataset: Data) -> EvaluationResult:
    valid = evaluate(baseline.network, dataset["valid"].images, dataset["valid"].masks, baseline.preprocessing, **HOW)
    assert valid.metrics["dice_lesion"] == 1
    return EvaluationResult(BASELINE, Cost(1, 1, 1), {}, {}, [], valid=valid.metrics)
