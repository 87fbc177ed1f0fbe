"""The best trade-offs of a cost and Dice: the Pareto front, without what is no better than a cheaper network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from analysis.quality import paired
from analysis.ranking import (
    JUDGED,
    SAME_SIZE_FACTOR,
    baseline_of,
    candidates,
    is_useful,
    metric,
    without_repeats,
)
from models.evaluation.results import EvaluationResult

TAKEN_SHARE = 0.9  # of the baseline's Dice: for a smaller file, nobody takes a network that keeps less


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


def bytes_of(result: EvaluationResult) -> float:
    """Returns the bytes of the weights file, the cost that variants are compared by unless another is named."""
    return result.cost.size_bytes


def front_names(
    results: Sequence[EvaluationResult], cost: Callable[[EvaluationResult], float] = bytes_of
) -> frozenset[str]:
    """Returns the names of the variants that are the best trade-offs of a cost and Dice.

    These are on the Pareto front of those that one would take, which are useful and keep nine tenths of the baseline's
    Dice; and where they cost more than another of them, their Dice is higher by more than chance: the paired interval
    over the images excludes zero. Else noise in the fourth digit would place a network of any size beside the smallest.
    The baseline is no exception. Of several seeds, those of the first count, see `analysis.ranking.candidates`. Where
    images are too few to judge, or their values are not known, it is the plain front. Of variants that are the same
    network, the first is named. Of two whose costs differ by no more than `SAME_SIZE_FACTOR`, the one with the lower
    Dice is no trade-off.

    Args:
        results: The variants.
        cost: Less is better; NaN where it is not known.
    """
    baseline = baseline_of(results)
    useful = [result for result in without_repeats(candidates(results)) if _is_taken(result, baseline)]
    best: list[EvaluationResult] = []

    def point(result: EvaluationResult) -> tuple[float, float]:
        return cost(result), metric(result, JUDGED)

    front = [useful[index] for index in pareto_front([point(result) for result in useful])]
    for _, equals in itertools.groupby(front, key=point):  # all of them or none, whatever single images say
        group = list(equals)
        if all(_is_better(result, other) for result in group for other in best):
            best += group
    return frozenset(each.name for each in best if not any(_outdoes(cost(other), cost(each)) for other in best))


def _outdoes(other: float, own: float) -> bool:
    """Whether a network of this cost costs hardly more than one of the same front, and so has more for the same."""
    return own < other <= SAME_SIZE_FACTOR * own


def _is_taken(result: EvaluationResult, baseline: EvaluationResult | None) -> bool:
    """Whether somebody would take a network for its size: it is useful, and keeps most of the baseline's Dice."""
    kept = baseline is None or metric(result, JUDGED) >= TAKEN_SHARE * metric(baseline, JUDGED)
    return kept and is_useful(result, baseline)


def _is_better(result: EvaluationResult, other: EvaluationResult) -> bool:
    """Whether a Dice, which is higher, is so by more than chance, as far as there are images to judge by."""
    gain = paired(result, other, JUDGED)
    return gain is None or gain.too_few or gain.low > 0
