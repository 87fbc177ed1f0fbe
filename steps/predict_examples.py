"""Step: what networks predict on a few telling images."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from dataset.store import Dataset
from materializers.examples import ExamplesMaterializer
from models.evaluation import predict
from models.findings import Examples
from models.results import EvaluationResult
from models.variant import Variant
from tracking.comparison import Comparison
from tracking.examples import telling_images, telling_variants


@step(
    cache_policy=CachePolicy(cache_func="steps.caching.examples_sources"),
    output_materializers=ExamplesMaterializer,
)
def predict_examples(
    results: list[EvaluationResult], compressed: list[Variant], dataset: Dataset, baseline: Variant, device: str
) -> Annotated[Examples, "examples"]:
    """Chooses images by the results and keeps the masks that the baseline and some variants predict on them."""
    comparison = Comparison(results)
    chosen, shown = telling_images(comparison), {result.name for result in telling_variants(comparison)}
    rows, test = list(chosen), dataset["test"]
    images = test.images[rows]
    return Examples(
        kinds=list(chosen.values()),
        file_names=[test.file_names[row] for row in rows],
        images=images,
        truth=test.masks[rows],
        predictions={
            variant.name: predict(
                variant.network, images, variant.preprocessing, classes=dataset.classes, device=device
            )
            for variant in (baseline, *compressed)
            if variant is baseline or variant.name in shown
        },
    )
