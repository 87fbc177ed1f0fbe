"""All variants of a run. What follows from them is computed once, and read by tables, pictures, report and MLflow."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.at_sizes import AtSize, at_sizes
from analysis.equal_bytes import EqualBytes, equal_bytes
from analysis.equal_size import EqualSize, equal_sizes
from analysis.front import bytes_of, front_names
from analysis.intervals import Interval
from analysis.over_trainings import OverTrainings, over_trainings
from analysis.quality import LesionGroup, Quality, lesion_groups, quality
from analysis.ranking import (
    JUDGED,
    baseline_of,
    candidates,
    chosen_by_valid,
    in_order,
    is_useless,
    recommended,
    same_networks,
    tolerated_loss,
)
from models.evaluation.results import EvaluationResult, Latencies, Machine


class Comparison:
    """The variants of one run.

    Attributes:
        results: In reading order: baseline, SVD by rank, ARSVD by tau, other rules, budgets, sizes; further trainings'.
        baseline: The uncompressed network, None where it was not evaluated.
        tolerated_loss: The loss of Dice that is tolerated in the recommended network.
        imported: Whether the baseline was trained elsewhere, and given as a checkpoint.
    """

    def __init__(self, results: Sequence[EvaluationResult], *, imported: bool = False) -> None:
        self.imported = imported
        self.results = in_order(results)
        self.baseline = baseline_of(results)
        self.tolerated_loss = tolerated_loss(results)

    @functools.cached_property
    def qualities(self) -> dict[str, Quality]:
        """Variant to its quality with intervals."""
        return {result.name: quality(result, self.baseline) for result in self.results}

    @property
    def dense(self) -> list[EvaluationResult]:
        """The network of each training as it was trained, the baseline first, in reading order."""
        return [result for result in self.results if result.spec.is_dense]

    @property
    def has_several_trainings(self) -> bool:
        """Whether there are further trainings beside the main one."""
        return any(result.spec.training for result in self.results)

    @functools.cached_property
    def main(self) -> Comparison:
        """The comparison of the main training's variants alone; this one where there is no other."""
        if not self.has_several_trainings:
            return self
        return Comparison([each for each in self.results if not each.spec.training], imported=self.imported)

    @functools.cached_property
    def lesion_groups(self) -> list[LesionGroup]:
        """The images by the size of their lesion."""
        return lesion_groups(self.baseline) if self.baseline is not None else []

    @functools.cached_property
    def front(self) -> frozenset[str]:
        """Names of the best trade-offs of file size and Dice, see `analysis.front.front_names`."""
        return front_names(self.results)

    @functools.cached_property
    def same_networks(self) -> dict[str, str]:
        """Each variant that repeats another one's network, to that one, see `analysis.ranking.same_networks`."""
        return same_networks(self.results)

    @functools.cached_property
    def equal_sizes(self) -> list[EqualSize]:
        """The methods at every budget that several of them have."""
        return equal_sizes(self.results)

    @functools.cached_property
    def equal_bytes(self) -> list[EqualBytes]:
        """The networks of a size beside what else fits into it."""
        return equal_bytes(self.results)

    @property
    def has_few_bits(self) -> bool:
        """Whether some networks are stored in few bits, so that parameters do not tell how large their files are."""
        return any(result.spec.in_few_bits for result in self.results)

    @functools.cached_property
    def over_trainings(self) -> list[OverTrainings]:
        """Every variant over the trainings by several seeds; empty where there is one seed."""
        return over_trainings(self.results)

    @functools.cached_property
    def at_sizes(self) -> list[AtSize]:
        """The network to take at each size; sizes are of the file where some are stored in few bits."""
        return at_sizes(self.results, bytes_of if self.has_few_bits else lambda result: result.cost.params)

    @property
    def has_several_widths(self) -> bool:
        """Whether there are trainings of other widths than the baseline's."""
        return any(result.spec.filters is not None for result in self.results)

    @functools.cached_property
    def recommended(self) -> EvaluationResult | None:
        """The recommended network, see `analysis.ranking.recommended`; None where there is none."""
        return recommended(self.results)

    @functools.cached_property
    def chosen_by_valid(self) -> EvaluationResult | None:
        """The network that the validation images choose, which the test may find useless."""
        return chosen_by_valid(self.results)

    @property
    def is_useless(self) -> bool:
        """Whether the baseline is useless, see `analysis.ranking.is_useless`."""
        return self.baseline is not None and is_useless(self.baseline)

    @property
    def has_empty_images(self) -> bool:
        """Whether some of the test images have no lesion."""
        return any("false_alarm_images" in result.metrics for result in self.results)

    @property
    def judged_over(self) -> Interval | None:
        """An interval of the judged Dice, which says what intervals are over; None where there is none."""
        found = (quality.mean.get(JUDGED) for quality in self.qualities.values())
        return next((interval for interval in found if interval is not None), None)

    @property
    def interval_name(self) -> str:
        """How intervals are called: `95 % interval`, or `95 % interval over patients` (volumes, series)."""
        over = self.judged_over
        return "95 % interval" if over is None or over.patients is None else f"95 % interval over {over.unit}"

    @property
    def test_patients(self) -> int | None:
        """Of how many patients the test images are; None where that is not known."""
        return next((len(set(result.groups)) for result in self.results if result.groups), None)

    @property
    def group_noun(self) -> str:
        """What these are: `patient`, `volume` or `series`."""
        return next((result.group_noun for result in self.results if result.groups), "patient")

    @property
    def test_images(self) -> tuple[int, int]:
        """How many test images have a lesion, and how many have none; zeros where that is not known."""
        areas = next((found for result in self.results if (found := result.per_image.get("lesion_px"))), [])
        with_lesion = sum(area > 0 for area in areas)
        return with_lesion, len(areas) - with_lesion

    @property
    def machine(self) -> Machine | None:
        """Where the networks were timed, None where they were not."""
        return next((result.latency.machine for result in self.results if result.latency is not None), None)

    @property
    def compressed(self) -> list[EvaluationResult]:
        """All variants but the baseline, in reading order."""
        return [result for result in self.results if not result.spec.is_baseline]

    @property
    def eligible(self) -> list[EvaluationResult]:
        """Those of them that are chosen from, see `analysis.ranking.candidates`."""
        return candidates(self.compressed)

    def of_methods(self, *methods: str) -> list[EvaluationResult]:
        """Returns the main training's variants of some methods but twins in few bits, in reading order."""
        own = self.main.results
        return [each for each in own if each.method in methods and each.spec.weight_bits is None]


def baseline_in(comparison: Comparison) -> EvaluationResult:
    """Returns the baseline.

    Raises:
        ValueError: It was not evaluated.
    """
    if comparison.baseline is None:
        raise ValueError("the baseline is not among the results; it is what everything is compared with")
    return comparison.baseline


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


def joined(
    results: Sequence[EvaluationResult],
    latencies: Latencies,
    histories: Sequence[Mapping[str, Any]],
    *,
    imported: bool = False,
) -> Comparison:
    """Returns the comparison of results with what later steps have found out of the same networks.

    Args:
        results: The variants.
        latencies: Of all of them but twins in few bits.
        histories: Of the fine-tuning of all compressed networks but twins in few bits, in the order of the results;
            none at all where nothing was fine-tuned.
        imported: Whether the baseline was trained elsewhere.
    """
    tuned = [each.name for each in results if each.spec.weight_bits is None and not each.spec.is_dense]
    return Comparison(with_latencies(with_finetuning(results, tuned, histories), latencies), imported=imported)


def with_latencies(results: Sequence[EvaluationResult], latencies: Latencies) -> list[EvaluationResult]:
    """Returns the results with the latency of each network added.

    A network in few bits computes in float32 as the one that it was rounded from, and has its latency.
    """
    return [dataclasses.replace(each, latency=latencies.networks[each.spec.unrounded.name]) for each in results]
