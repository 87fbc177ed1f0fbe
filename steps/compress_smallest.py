"""Step: the smallest network whose loss of Dice on the validation images stays within a limit."""

import itertools
from typing import Annotated

from zenml import ArtifactConfig, step

from analysis.ranking import is_close
from dataset.store import Dataset
from materializers.variant import VariantMaterializer
from models.candidates.at_budget import Candidates
from models.candidates.best import first_of
from models.evaluation.results import EvaluationResult
from models.smallest import smallest_share_that
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.ranks.costs import parameter_costs, possible_schemes, smallest_share

sources = sources_of(__name__)
_TRIED = 2  # networks of a budget; the third is seldom the best, and takes as long as the second


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
    """Searches the smallest budget at which one of two networks is good enough, before any fine-tuning.

    At each of eight budgets these are the allocated ranks and, where they are not good enough, the same reconstructed.

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
    tolerated = spec.max_dice_loss or 0.0
    baseline.check_input(dataset.manifest.channels, dataset.classes)
    train, valid, images = dataset["train"], dataset["valid"], recalibration_images
    candidates = Candidates(baseline, spectra, statistics, train, valid, spec, images, batch_size, seed, device)
    found: dict[float, Variant] = {}

    def is_good(budget: float) -> bool:
        cheap = itertools.islice(candidates.of(budget), _TRIED)
        good = first_of(cheap, lambda variant: is_close(candidates.measured(variant), full.valid, tolerated))
        if good is not None:
            found[budget] = good
        return good is not None

    costs = parameter_costs(baseline.network, possible_schemes(baseline.network, "auto"))
    share = smallest_share_that(is_good, smallest_share(costs))
    return found[share] if share in found else next(candidates.of(share))
