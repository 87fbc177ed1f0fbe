"""Synthetic test images, and what variants of several qualities predict on them, measured as networks are."""

import numpy as np
import torch

from dataset.phantoms.brain_slices import draw_slice
from models.evaluation.coded_masks import CodedMasks, MaskCoder
from models.evaluation.metrics import Counts, count_pixels, summarise
from models.evaluation.results import Cost, EvaluationResult, Latency
from models.variant_spec import BASELINE, VariantSpec
from reporting.html.seen_images import SeenImages
from tests.comparisons import MACHINE

DRAWN = 100  # different phantoms
_PART = 50  # images counted at once


def coded(masks: np.ndarray, labels: int = 1) -> CodedMasks:
    """The masks (N, H, W), coded."""
    coder = MaskCoder(labels)
    coder.add(masks)
    return coder.finish()


def phantoms(number: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, H, W, 1), masks uint8 (N, H, W); one in ten has no lesion. Of many, some are others turned."""
    rng = np.random.default_rng(seed)
    images = np.zeros((number, size, size, 1), np.uint8)
    masks = np.zeros((number, size, size), np.uint8)
    for row in range(min(number, DRAWN)):
        drawn = draw_slice(rng, size)
        images[row, ..., 0] = drawn.image
        for lesion in drawn.lesions:
            masks[row][lesion] = 1
    for row in range(DRAWN, number):
        turns = row // DRAWN
        images[row], masks[row] = (np.rot90(each[row % DRAWN], turns) for each in (images, masks))
    return images, masks


def predicted(truth: np.ndarray, error: int, seed: int) -> np.ndarray:
    """Masks that are moved by up to so many pixels; some lesions are missed, and some found where there are none."""
    rng = np.random.default_rng(seed)
    masks = np.stack([np.roll(mask, rng.integers(-error, error + 1, 2), (0, 1)) for mask in truth])
    masks[rng.random(len(masks)) < 0.02 * error] = 0
    for row in np.flatnonzero((truth == 0).all((1, 2)) & (rng.random(len(masks)) < 0.05 * error)):
        masks[row, 4:9, 4:9] = 1
    return masks


def evaluated(spec: VariantSpec, params: int, truth: np.ndarray, masks: np.ndarray, time: float) -> EvaluationResult:
    """What an evaluation would return of a network that predicts these masks."""
    parts = range(0, len(truth), _PART)
    both = [[torch.from_numpy(each[first : first + _PART]) for each in (masks, truth)] for first in parts]
    measured = summarise(Counts.concatenate([count_pixels(found, known, 2) for found, known in both]))
    latency = Latency(10 * time, time, 0.97 * time, 1.03 * time, MACHINE)
    return EvaluationResult(
        spec=spec,
        cost=Cost(params, 4 * params, 60 * params),
        metrics=measured.metrics,
        per_image=measured.per_image,
        layers=[],
        valid=measured.metrics,
        valid_per_image=measured.per_image,
        latency=latency if not spec.is_baseline else Latency(10.0, 1.0, 1.0, 1.0, MACHINE),
    )


def comparison_of(images: int, variants: int, size: int) -> tuple[list[EvaluationResult], SeenImages]:
    """So many variants beside the baseline, each worse than the one before, and their masks."""
    pictures, truth = phantoms(images, size)
    specs = [BASELINE, *_specs(variants)]
    results, masks = [], {}
    for number, spec in enumerate(specs):
        found = predicted(truth, 1 + number * size // (16 * len(specs)), number)
        params = round(800_000 / (1 + 0.4 * number))
        results.append(evaluated(spec, params, truth, found, 1 - 0.3 * number / len(specs)))
        masks[spec.name] = coded(found)
    return results, SeenImages(pictures, truth, masks)


def _specs(number: int) -> list[VariantSpec]:
    ways = [
        lambda place: VariantSpec("svd", rank=64 - place, scheme="channel"),
        lambda place: VariantSpec("arsvd", tau=round(0.95 - place / 100, 2), scheme="channel"),
        lambda place: VariantSpec("budget", budget=round(0.9 - place / 60, 3), scheme="auto"),
    ]
    return [ways[place % 3](place) for place in range(number)]
