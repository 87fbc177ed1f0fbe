"""Step: what a network achieves, what it costs, and the masks that it predicts."""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from zenml import ArtifactConfig, step

from dataset.store import Dataset
from materializers.masks import MasksMaterializer
from materializers.records import ResultMaterializer
from models.evaluation.coded_masks import CodedMasks, MaskCoder
from models.evaluation.cost import measure_cost
from models.evaluation.evaluate import evaluate_variant
from models.evaluation.metrics import Metrics, label_count
from models.evaluation.results import EvaluationResult
from models.variant import Variant
from models.variant_spec import BASELINE
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.layers.parameter_shares import parameter_shares

sources = sources_of(__name__)
_BEFORE = ("dice", "dice_lesion", "iou")


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers={"{variant}_result": ResultMaterializer, "{variant}_masks": MasksMaterializer},
)
def evaluate(
    network: Variant, truncated: Variant | None, dataset: Dataset, batch_size: int, device: str
) -> tuple[
    Annotated[EvaluationResult, ArtifactConfig(name="{variant}_result")],
    Annotated[CodedMasks, ArtifactConfig(name="{variant}_masks")],
]:
    """Measures a network on valid, to choose by, and on test; on test also what it was after truncation, if given.

    The masks are those of the test images, the very ones that were measured.
    """
    coder = MaskCoder(label_count(dataset.classes) - 1)
    test = _measured(network, dataset, "test", batch_size, device, coder.add)
    valid = _measured(network, dataset, "valid", batch_size, device)
    before = _measured(truncated, dataset, "test", batch_size, device).metrics if truncated else {}
    cost = measure_cost(network.network, (dataset.manifest.channels, *dataset.manifest.image_size))
    result = EvaluationResult(
        spec=network.spec,
        cost=cost,
        metrics={
            **test.metrics,
            **{f"{name}_before_recovery": before[name] for name in _BEFORE if name in before},
        },
        per_image=test.per_image | _of_classes(test, dataset),
        layers=network.layers,
        groups=dataset["test"].groups,
        group_noun=dataset.manifest.group_noun,
        per_group=test.per_group,
        classes=dict(zip(_foreground(dataset), (each.metrics for each in test.classes), strict=False)),
        valid=valid.metrics,
        factorizable=parameter_shares(network.network) if network.spec == BASELINE else None,
        valid_per_image=valid.per_image | _of_classes(valid, dataset),
        valid_groups=dataset["valid"].groups,
    )
    return result, coder.finish()


def _foreground(dataset: Dataset) -> list[str]:
    """Returns the names of all classes but the background, in the order of their labels."""
    return [entry.name for entry in dataset.manifest.classes if entry.index > 0]


def _of_classes(measured: Metrics, dataset: Dataset) -> dict[str, list[float]]:
    """Returns the values of single images for each class, by names that no other metric has."""
    return {
        f"classes/{metric}_{name}": values
        for name, of_class in zip(_foreground(dataset), measured.classes, strict=False)
        for metric, values in of_class.per_image.items()
    }


def _measured(
    variant: Variant,
    dataset: Dataset,
    split: str,
    batch_size: int,
    device: str,
    seen: Callable[[np.ndarray], None] | None = None,
) -> Metrics:
    variant.check_input(dataset.manifest.channels, dataset.classes)
    labelled = dataset[split]
    return evaluate_variant(variant, labelled.images, labelled.masks, batch_size, device, labelled.groups, seen)
