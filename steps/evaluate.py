"""Step: what a network achieves, and what it costs."""

import dataclasses
from typing import Annotated

from zenml import ArtifactConfig, log_metadata, step

from dataset.store import Dataset
from materializers.records import ResultMaterializer
from models.evaluation.cost import measure_cost
from models.evaluation.evaluate import evaluate as evaluate_network
from models.evaluation.metrics import Metrics
from models.evaluation.results import EvaluationResult
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of

sources = sources_of(__name__)


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers=ResultMaterializer,
)
def evaluate(
    network: Variant, truncated: Variant | None, dataset: Dataset, batch_size: int, device: str
) -> Annotated[EvaluationResult, ArtifactConfig(name="{variant}_result")]:
    """Measures a network on the test images; Dice and IoU also of what it was straight after truncation, if given."""
    metrics = _measured(network, dataset, batch_size, device)
    before = _measured(truncated, dataset, batch_size, device).metrics if truncated else {}
    cost = measure_cost(network.network, (dataset.manifest.channels, *dataset.manifest.image_size))
    log_metadata(metadata={**metrics.metrics, **dataclasses.asdict(cost)}, infer_artifact=True)
    return EvaluationResult(
        spec=network.spec,
        cost=cost,
        metrics={
            **metrics.metrics,
            **{f"{name}_before_recovery": before[name] for name in ("dice", "iou") if name in before},
        },
        per_image=metrics.per_image,
        layers=network.layers,
    )


def _measured(variant: Variant, dataset: Dataset, batch_size: int, device: str) -> Metrics:
    variant.check_input(dataset.manifest.channels, dataset.classes)
    test = dataset["test"]
    return evaluate_network(
        variant.network,
        test.images,
        test.masks,
        variant.preprocessing,
        classes=variant.classes,
        batch_size=batch_size,
        device=device,
    )
