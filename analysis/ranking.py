"""A set of variants ranked: reading order, which are the same network, and the recommended one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from models.evaluation.results import EvaluationResult
from models.variant_spec import METHODS, RULES, Method

PARAMETER = {"svd": "rank", "arsvd": "tau", "budget": "budget"}
TITLES: dict[Method, str] = {
    "baseline": "baseline",
    "svd": "SVD",
    "arsvd": "ARSVD",
    "energy": "energy",
    "rank_ratio": "rank ratio",
    "evbmf": "EVBMF",
    "hard_threshold": "hard threshold",
    "effective_rank": "effective rank",
    "stable_rank": "stable rank",
    "budget": "budget",
    "pruned": "pruning",
    "size": "size",
}
OTHER_RULES: tuple[Method, ...] = tuple(rule for rule in RULES if rule not in ("svd", "arsvd"))
AT_BUDGETS: tuple[Method, ...] = (*RULES, "budget", "pruned")  # methods that meet a budget of parameters, in order
JUDGED = "dice_lesion"  # on images without a lesion, a network that finds nothing is right
TOLERATED_DICE_LOSS = 0.01  # unless the user says what is
SAME_SIZE_FACTOR = 1.01
USEFUL_SHARE = 0.5  # a network that keeps less of what the baseline finds is useless, however small it is
USELESS_DICE = 0.05  # a baseline below is useless itself: marking everything can have as much, where lesions are small
_FLOAT = 32  # bits of a weight that is not rounded
_GIVEN = ("rank", "tau", "energy", "rank_ratio")
_KEPT = (JUDGED, "recall_images")

Split = Literal["valid", "test"]
SPLITS: tuple[Split, ...] = ("valid", "test")


def tolerated_loss(results: Sequence[EvaluationResult]) -> float:
    """Returns what loss of Dice is tolerated: the one that the smallest network was searched for with, or else 0.01."""
    wanted = (result.spec.max_dice_loss for result in results if result.spec.max_dice_loss is not None)
    return next(wanted, TOLERATED_DICE_LOSS)


def is_useful(result: EvaluationResult, baseline: EvaluationResult | None, split: Split = "test") -> bool:
    """Whether a network finds something, and keeps half of the baseline's Dice and of the lesions that it finds."""
    return _keeps_half(_measured(result, split), {} if baseline is None else _measured(baseline, split))


def is_useless(baseline: EvaluationResult) -> bool:
    """Whether a baseline finds so little, of either split, that what compression keeps of it means nothing."""
    return any(
        metric(baseline, JUDGED, split) < USELESS_DICE or not is_useful(baseline, baseline, split) for split in SPLITS
    )


def is_close(measured: Mapping[str, float], baseline: Mapping[str, float], tolerated: float) -> bool:
    """Whether a network is useful and loses no more Dice than is tolerated.

    Args:
        measured: Its metrics on the validation images.
        baseline: The baseline's on the same.
        tolerated: Loss of Dice.
    """
    lost = _known(baseline, JUDGED) - _known(measured, JUDGED)
    return lost <= tolerated and _keeps_half(measured, baseline)


def _keeps_half(measured: Mapping[str, float], baseline: Mapping[str, float]) -> bool:
    kept = all(_known(measured, name) >= USEFUL_SHARE * _known(baseline, name) for name in _KEPT if name in baseline)
    return kept and _known(measured, JUDGED) > 0


def _known(measured: Mapping[str, float], name: str) -> float:
    value = measured.get(name)
    return float(value) if value is not None and math.isfinite(value) else math.nan


def _measured(result: EvaluationResult, split: Split) -> Mapping[str, float]:
    return result.metrics if split == "test" else result.valid


def candidates(results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """Returns the variants that are chosen from: of several seeds those of the first, of every width.

    Other seeds say how much luck there is in a training, and are not to be a chance more to be lucky.
    """
    return [result for result in results if result.spec.seed is None]


def chosen_by_valid(results: Sequence[EvaluationResult]) -> EvaluationResult | None:
    """Returns the network to take by the validation images: the best of about the smallest size that keeps the Dice.

    Size is that of the weights file. Candidates are smaller than the baseline, and close to it, see `is_close`.
    Networks of one budget differ by a few parameters, so sizes up to `SAME_SIZE_FACTOR` times the smallest count as
    the same size. Of variants that are the same network, the first in reading order is taken. None is chosen where the
    baseline is useless, see `is_useless`.
    """
    baseline = baseline_of(results)
    if baseline is None or is_useless(baseline):
        return None
    tolerated = tolerated_loss(results)
    close = [
        r
        for r in without_repeats(candidates(results))
        if r.cost.size_bytes < baseline.cost.size_bytes and is_close(r.valid, baseline.valid, tolerated)
    ]
    smallest = min((r.cost.size_bytes for r in close), default=0)
    equals = [r for r in close if r.cost.size_bytes <= SAME_SIZE_FACTOR * smallest]
    return min(equals, key=lambda r: (-metric(r, JUDGED, "valid"), r.cost.size_bytes, r.name), default=None)


def recommended(results: Sequence[EvaluationResult]) -> EvaluationResult | None:
    """Returns the network that `chosen_by_valid` names; None where there is none, or where it is useless on test."""
    chosen = chosen_by_valid(results)
    return chosen if chosen is not None and is_useful(chosen, baseline_of(results)) else None


def metric(result: EvaluationResult, name: str, split: Split = "test") -> float:
    """Returns a metric of a variant, NaN where it is missing or not finite."""
    return _known(_measured(result, split), name)


def in_order(results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """Orders variants for reading: baseline, SVD by rank, ARSVD by tau, other rules, budgets, sizes, largest first.

    Twins in few bits stand behind the network that they were rounded from. Those of further trainings follow as they
    were made, one training after the other.
    """
    trainings = list(dict.fromkeys(["", *(result.spec.training for result in results)]))

    def place(result: EvaluationResult) -> tuple[int, int, float, float, float, str, int]:
        spec = result.spec
        given = getattr(spec, spec.sized_by) if spec.sized_by in _GIVEN else None
        budget = next((size for size in (spec.size, spec.budget) if size is not None), math.inf)
        macs = math.inf if spec.mac_budget is None else spec.mac_budget
        bits = _FLOAT if spec.weight_bits is None else spec.weight_bits
        return (
            trainings.index(spec.training),
            METHODS.index(spec.method),
            math.inf if given is None else given,
            -budget,
            -macs,
            spec.unrounded.name,
            -bits,
        )

    return sorted(results, key=place)


def baseline_of(results: Sequence[EvaluationResult]) -> EvaluationResult | None:
    """Returns the uncompressed network among the variants, None where it was not evaluated."""
    return next((result for result in results if result.spec.is_baseline), None)


def same_networks(results: Sequence[EvaluationResult]) -> dict[str, str]:
    """Returns each variant that repeats another one's network, to the first in reading order that has it.

    Budgets may be met by the same ranks, say where a budget of multiply-accumulates allows less than either budget of
    parameters. Networks are the same if they have the same ranks by the same schemes, and the same Dice on every image.
    """
    first: dict[tuple[object, ...], str] = {}
    repeated = {}
    for result in in_order(results):
        dice = tuple(result.per_image.get("dice", []))
        if (result.layers or result.method == "pruned") and dice:
            ranks = tuple((layer.name, layer.scheme, layer.rank) for layer in result.layers)
            known = first.setdefault((result.cost.params, result.cost.size_bytes, ranks, dice), result.name)
            if known != result.name:
                repeated[result.name] = known
    return repeated


def without_repeats(results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """Returns the variants but those that repeat another one's network, see `same_networks`."""
    repeated = same_networks(results)
    return [result for result in results if result.name not in repeated]
