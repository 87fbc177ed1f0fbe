"""Step: what a network achieves, and what it costs."""

from typing import Annotated

from zenml import ArtifactConfig, log_metadata, step
from zenml.config.cache_policy import CachePolicy

from dataset.store import Dataset
from models import evaluation
from models.profile import measure_cost
from models.results import EvaluationResult
from models.variant import Variant


@step(cache_policy=CachePolicy(cache_func="steps.caching.evaluate_sources"))
def evaluate(
    network: Variant, dataset: Dataset, batch_size: int, device: str
) -> Annotated[EvaluationResult, ArtifactConfig(name="{variant}_result")]:
    """Measures a network on the test images."""
    network.check_input(dataset.manifest.channels, dataset.classes)
    test = dataset["test"]
    metrics = evaluation.evaluate(
        network.network,
        test.images,
        test.masks,
        network.preprocessing,
        classes=network.classes,
        batch_size=batch_size,
        device=device,
    )
    cost = measure_cost(network.network, (dataset.manifest.channels, *dataset.manifest.image_size), device)
    log_metadata({"dice": metrics.metrics["dice"], "params": cost.params})
    return EvaluationResult(
        name=network.name,
        method=network.method,
        setting=network.setting,
        cost=cost,
        metrics=metrics.metrics,
        per_image=metrics.per_image,
        layers=network.layers,
    )
