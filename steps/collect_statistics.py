"""Step: the loss's curvature around the baseline, from a few training images."""

from typing import Annotated

from zenml import step

from configs.schema import StatisticsConfig
from dataset.store import Dataset
from materializers.statistics import StatisticsMaterializer
from models.preprocessing import ImageBatches
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.curvature import collect
from torch_lowrank.curvature.moments import Statistics

sources = sources_of(__name__)
_BATCH = 4  # images: gradients of every layer lie in memory at once
_MEGABYTE = 10**6


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers=StatisticsMaterializer,
)
def collect_statistics(
    dataset: Dataset, baseline: Variant, settings: StatisticsConfig, seed: int, device: str
) -> Annotated[Statistics, "statistics"]:
    """Takes second moments of inputs and of gradients, once for all budgets."""
    baseline.check_input(dataset.manifest.channels, dataset.classes)
    train = dataset["train"]
    batches = ImageBatches(train.images, train.sample(settings.images, seed), baseline.preprocessing, _BATCH)
    limit = settings.memory_limit_mb * _MEGABYTE
    return collect.collect_statistics(baseline.network, batches, memory_limit=limit, seed=seed, device=device)
