"""Step: the smallest network whose loss of Dice on the validation images stays within a limit."""

import dataclasses
from typing import Annotated

from zenml import ArtifactConfig, step

from analysis.ranking import is_close
from dataset.store import Dataset
from materializers.variant import VariantMaterializer
from models.compress_variant import budget_rule, compress_variant
from models.evaluation.evaluate import evaluate_variant
from models.evaluation.results import EvaluationResult
from models.recalibrate_variant import recalibrate_variant
from models.smallest import smallest_share_that
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.ranks.costs import parameter_costs, possible_schemes, smallest_share

sources = sources_of(__name__)


@step(cache_policy=cached_by_sources(__name__), output_materializers=VariantMaterializer)
def compress_smallest(  # noqa: PLR0913, PLR0917 - compresses and evaluates
    spectra: Spectra,
    statistics: Statistics,
    full: EvaluationResult,
    dataset: Dataset,
    baseline: Variant,
    spec: VariantSpec,
    recalibration_images: int,
    batch_size: int,
    seed: int,
    device: str,
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Searches the smallest budget of allocated ranks, by eight evaluations, before any fine-tuning.

    Args:
        spectra: Weighted.
        statistics: What they were weighted with.
        full: The baseline's result.
        dataset: Its validation images judge, and its training images recalibrate.
        baseline: The network.
        spec: What is made, with the tolerated loss.
        recalibration_images: Training images that each network is recalibrated with before it is judged, as variants
            are; 0 where they are not.
        batch_size: Images a forward pass.
        seed: Of the choice of these images.
        device: Where to compute.
    """
    tolerated, train, valid = spec.max_dice_loss or 0.0, dataset["train"], dataset["valid"]
    baseline.check_input(dataset.manifest.channels, dataset.classes)
    chosen = train.sample(recalibration_images, seed)

    def at(budget: float) -> Variant:
        solved = dataclasses.replace(spec, budget=budget, statistics_images=statistics.images)
        rule = budget_rule(solved, (dataset.manifest.channels, *dataset.manifest.image_size))
        return compress_variant(baseline, spectra, rule, solved, statistics=statistics, device=device)

    def is_good(budget: float) -> bool:
        variant = at(budget)
        try:
            if recalibration_images:
                variant = recalibrate_variant(variant, train.images, chosen, batch_size, device)
            measured = evaluate_variant(variant, valid.images, valid.masks, batch_size, device)
        except FloatingPointError:  # too small for finite numbers
            return False
        return is_close(measured.metrics, full.valid, tolerated)

    costs = parameter_costs(baseline.network, possible_schemes(baseline.network, "auto"))
    return at(smallest_share_that(is_good, smallest_share(costs)))
