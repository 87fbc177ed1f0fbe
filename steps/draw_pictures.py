"""Step: the pictures of all results, drawn again only where what they show or the code that draws it has changed."""

from collections.abc import Sequence
from typing import Annotated, Any

from zenml import step

from analysis.comparison import Comparison, joined
from analysis.examples import Examples, telling_images, telling_variants
from analysis.singular_values import singular_values
from dataset.store import Dataset
from materializers.pictures import PicturesMaterializer
from models.evaluation.evaluate import predict
from models.evaluation.results import EvaluationResult, Latencies
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.decomposition.spectra import Spectra

sources = sources_of(__name__, libraries=("matplotlib",))
_BATCH = 1  # images: there are a handful, and one fits wherever a batch of the training did


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers=PicturesMaterializer,
)
def draw_pictures(  # noqa: PLR0913, PLR0917 - pictures are of everything
    results: list[EvaluationResult],
    latencies: Latencies,
    compressed: list[Variant],
    tunings: list[dict[str, Any]],
    spectra: list[Spectra],
    dataset: Dataset,
    baseline: Variant,
    history: dict[str, Any],
    further: list[dict[str, Any]],
    device: str,
) -> Annotated[dict[str, bytes], "pictures"]:
    """Predicts the masks of a few test images, and draws every picture there is data for, as PNG."""
    from reporting.plots.draw import Shown, draw_all  # noqa: PLC0415 - Matplotlib: seconds, for drawing alone

    comparison = joined(results, latencies, tunings)
    examples = _examples(comparison, (baseline, *compressed), dataset, device)
    return draw_all(Shown(comparison, [history, *further], singular_values(spectra), examples))


def _examples(comparison: Comparison, variants: Sequence[Variant], dataset: Dataset, device: str) -> Examples:
    """Returns what some variants predict on a few telling images of the test split."""
    chosen, test = telling_images(comparison), dataset["test"]
    names, rows = telling_variants(comparison), list(chosen)
    images, by_name = test.images[rows], {variant.name: variant for variant in variants}
    shown = [by_name[result.name] for result in comparison.results if result.name in names]
    return Examples(
        rows=rows,
        kinds=list(chosen.values()),
        file_names=[test.file_names[row] for row in rows],
        images=images,
        truth=test.masks[rows],
        predictions={
            each.name: predict(
                each.network, images, each.preprocessing, classes=each.classes, device=device, batch_size=_BATCH
            )
            for each in shown
        },
    )
