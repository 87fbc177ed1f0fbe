"""A set of variants ranked: reading order, Pareto front, and the recommended network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from models.evaluation.results import EvaluationResult
from models.variant_spec import BASELINE, METHODS

PARAMETER = {"svd": "rank", "arsvd": "tau", "budget": "budget"}
TITLES = {"baseline": "baseline", "svd": "SVD", "arsvd": "ARSVD", "budget": "budget"}
TOLERATED_DICE_LOSS = 0.01
SAME_SIZE_FACTOR = 1.01
USEFUL_SHARE = 0.5  # a network that keeps less of the baseline's Dice is useless, however small it is


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Finds the points that no other point beats: less cost at the same value, or more value at the same cost.

    Args:
        points: Pairs (cost, value); a pair with NaN is never on the front.

    Returns:
        Indices into `points`, by ascending cost; equal points are all on the front, or none is.
    """
    known = [(cost, value, index) for index, (cost, value) in enumerate(points) if not math.isnan(cost + value)]
    front: list[int] = []
    best: tuple[float, float] | None = None
    for cost, value, index in sorted(known, key=lambda point: (point[0], -point[1], point[2])):
        if best is None or value > best[1] or (cost, value) == best:
            front.append(index)
            best = (cost, value)
    return front


def params_of(result: EvaluationResult) -> float:
    """Returns the number of parameters, the cost that variants are compared by unless another is named."""
    return result.cost.params


def front_names(
    results: Sequence[EvaluationResult], cost: Callable[[EvaluationResult], float] = params_of
) -> frozenset[str]:
    """Returns the names of the variants on the Pareto front of a cost and Dice.

    Networks that keep less than half of the baseline's Dice are left out.

    Args:
        results: The variants.
        cost: Less is better; NaN where it is not known.
    """
    baseline = baseline_of(results)
    min_dice = USEFUL_SHARE * metric(baseline, "dice") if baseline is not None else math.nan
    useful = [result for result in results if not metric(result, "dice") < min_dice]
    return frozenset(useful[i].name for i in pareto_front([(cost(r), metric(r, "dice")) for r in useful]))


def recommended(results: Sequence[EvaluationResult]) -> EvaluationResult | None:
    """Returns the recommended network: the best of about the smallest size that keeps the baseline's Dice.

    Candidates are smaller than the baseline, and their Dice is at most `TOLERATED_DICE_LOSS` below it. Networks of one
    budget differ by a few parameters, so sizes up to `SAME_SIZE_FACTOR` times the smallest count as the same size.
    """
    baseline = baseline_of(results)
    if baseline is None or not metric(baseline, "dice") > 0:
        return None
    min_dice = metric(baseline, "dice") - TOLERATED_DICE_LOSS
    close = [r for r in results if r.cost.params < baseline.cost.params and metric(r, "dice") >= min_dice]
    smallest = min((r.cost.params for r in close), default=0)
    equals = [r for r in close if r.cost.params <= SAME_SIZE_FACTOR * smallest]
    return min(equals, key=lambda r: (-metric(r, "dice"), r.cost.params, r.name), default=None)


def metric(result: EvaluationResult, name: str) -> float:
    """Returns a metric of a variant, NaN where it is missing or not finite."""
    value = result.metrics.get(name)
    return float(value) if value is not None and math.isfinite(value) else math.nan


def in_order(results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """Orders variants for reading: baseline, SVD by rank, ARSVD by tau, budgets, largest first."""

    def place(result: EvaluationResult) -> tuple[int, float, float, str]:
        spec = result.spec
        given = spec.rank if spec.rank is not None else spec.tau
        budget = math.inf if spec.budget is None else spec.budget
        return METHODS.index(spec.method), math.inf if given is None else given, -budget, spec.name

    return sorted(results, key=place)


def baseline_of(results: Sequence[EvaluationResult]) -> EvaluationResult | None:
    """Returns the uncompressed network among the variants, None where it was not evaluated."""
    return next((result for result in results if result.method == BASELINE.method), None)
