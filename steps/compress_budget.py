"""Step: the ranks that cost the least loss within a share of the network's parameters, and of its work where asked."""

from typing import Annotated

from zenml import ArtifactConfig, step

from analysis.ranking import JUDGED
from dataset.store import Dataset
from materializers.variant import VariantMaterializer
from models.candidates.at_budget import Candidates
from models.evaluation.results import EvaluationResult
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra

sources = sources_of(__name__)


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
    baseline.check_input(dataset.manifest.channels, dataset.classes)
    train, valid, images = dataset["train"], dataset["valid"], recalibration_images
    candidates = Candidates(baseline, spectra, statistics, train, valid, spec, images, batch_size, seed, device)
    if spec.budget is None:
        raise ValueError(f"{spec.name} has no budget")
    return candidates.best(spec.budget, JUDGED, full.valid[JUDGED])
