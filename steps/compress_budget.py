"""Step: the ranks that cost the least loss within a share of the network's parameters, and of its work where asked."""

import copy
import dataclasses
from collections.abc import Iterator
from typing import Annotated

from zenml import ArtifactConfig, step

from analysis.ranking import JUDGED
from dataset.store import Dataset
from materializers.variant import VariantMaterializer
from models.candidates.best import best_of
from models.candidates.reconstruct_variant import reconstruct_variant
from models.compress_variant import budget_rule, compress_variant
from models.evaluation.evaluate import evaluate_variant
from models.evaluation.results import EvaluationResult
from models.recalibrate_variant import recalibrate_variant
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.ranks.budgets import BudgetError

sources = sources_of(__name__)
_NO_LOSS = 2e-3  # of Dice; where a network loses no more, no other one is looked for


@step(cache_policy=cached_by_sources(__name__), output_materializers=VariantMaterializer)
def compress_budget(  # noqa: PLR0913, PLR0917 - compresses and evaluates
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
    """Allocates ranks over the whole network by weighted spectra, and refines the factors.

    Where that costs Dice on the validation images, the network is reconstructed with these ranks, and with one rank for
    all layers, and the best of the three is kept; the description says which.

    Args:
        spectra: Weighted.
        statistics: What they were weighted with.
        full: The baseline's result.
        dataset: Its validation images judge; training images reconstruct, and recalibrate what is judged.
        baseline: The network.
        spec: What is made.
        recalibration_images: Training images that each network is recalibrated with before it is judged, as variants
            are; 0 where they are not.
        batch_size: Images a forward pass.
        seed: Of the choice of these images.
        device: Where to compute.
    """
    train, valid = dataset["train"], dataset["valid"]
    baseline.check_input(dataset.manifest.channels, dataset.classes)
    fitted_to, recalibrated_to = (train.sample(number, seed) for number in (statistics.images, recalibration_images))

    def truncated(allocation: str) -> Variant:
        made = dataclasses.replace(spec, statistics_images=statistics.images, allocation=allocation)
        rule = budget_rule(made, (dataset.manifest.channels, *dataset.manifest.image_size))
        return compress_variant(baseline, spectra, rule, made, statistics=statistics, device=device)

    def reconstructed(variant: Variant) -> Variant:
        how = {"statistics": statistics, "batch_size": batch_size, "device": device}
        return reconstruct_variant(variant, baseline, train.images, fitted_to, **how)

    def candidates() -> Iterator[Variant]:
        yield truncated("global")
        try:
            yield reconstructed(truncated("global"))
            if spec.mac_budget is None:
                yield reconstructed(truncated("one rank"))
        except (BudgetError, FloatingPointError):  # one rank for all may not fit, nor large errors be fitted
            return

    def dice_of(variant: Variant) -> float:
        used = dataclasses.replace(variant, network=copy.deepcopy(variant.network))
        if recalibration_images:
            used = recalibrate_variant(used, train.images, recalibrated_to, batch_size, device)
        return evaluate_variant(used, valid.images, valid.masks, batch_size, device).metrics[JUDGED]

    enough = (full.valid or {}).get(JUDGED, 0.0) - _NO_LOSS
    return best_of(candidates(), dice_of, enough) if len(fitted_to) > 1 else truncated("global")
