"""All variants of a run. What follows from them is computed once, and read by tables, pictures, report and MLflow."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.equal_size import EqualSize, equal_sizes
from analysis.quality import LesionGroup, Quality, lesion_groups, quality
from analysis.ranking import baseline_of, front_names, in_order, recommended
from models.evaluation.results import EvaluationResult, Latencies, Machine
from models.variant_spec import BASELINE


class Comparison:
    """The variants of one run.

    Attributes:
        results: In reading order: baseline, SVD by rank, ARSVD by tau, budgets.
        baseline: The uncompressed network, None where it was not evaluated.
    """

    def __init__(self, results: Sequence[EvaluationResult]) -> None:
        self.results = in_order(results)
        self.baseline = baseline_of(results)

    @functools.cached_property
    def qualities(self) -> dict[str, Quality]:
        """Variant to its quality with intervals."""
        return {result.name: quality(result, self.baseline) for result in self.results}

    @functools.cached_property
    def lesion_groups(self) -> list[LesionGroup]:
        """The images by the size of their lesion."""
        return lesion_groups(self.baseline) if self.baseline is not None else []

    @functools.cached_property
    def front(self) -> frozenset[str]:
        """Names of the variants on the Pareto front of parameters and Dice."""
        return front_names(self.results)

    @functools.cached_property
    def equal_sizes(self) -> list[EqualSize]:
        """The methods at every budget that several of them have."""
        return equal_sizes(self.results)

    @functools.cached_property
    def recommended(self) -> EvaluationResult | None:
        """The recommended network, see `analysis.ranking.recommended`; None where there is none."""
        return recommended(self.results)

    @property
    def machine(self) -> Machine | None:
        """Where the networks were timed, None where they were not."""
        return next((result.latency.machine for result in self.results if result.latency is not None), None)

    @property
    def compressed(self) -> list[EvaluationResult]:
        """All variants but the baseline, in reading order."""
        return [result for result in self.results if result.method != BASELINE.method]

    def of_methods(self, *methods: str) -> list[EvaluationResult]:
        """Returns the variants of some methods, in reading order."""
        return [result for result in self.results if result.method in methods]


def with_finetuning(
    results: Sequence[EvaluationResult], names: Sequence[str], histories: Sequence[Mapping[str, Any]]
) -> list[EvaluationResult]:
    """Returns the results with the fine-tuning history of each network added.

    Args:
        results: The variants.
        names: The networks that were fine-tuned, by name.
        histories: Their histories, in the same order; none at all where nothing was fine-tuned.
    """
    if not histories:
        return list(results)
    of_variant = {name: dict(history) for name, history in zip(names, histories, strict=True)}
    return [dataclasses.replace(result, finetune_history=of_variant.get(result.name, {})) for result in results]


def with_latencies(results: Sequence[EvaluationResult], latencies: Latencies) -> list[EvaluationResult]:
    """Returns the results with the latency of each network added."""
    return [dataclasses.replace(result, latency=latencies.networks[result.name]) for result in results]
