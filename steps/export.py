"""Step: the chosen variant as files to deploy, each opened again in its own runtime and measured."""

from typing import Annotated

import numpy as np
from zenml import step

from dataset.store import Dataset
from materializers.exports import ExportsMaterializer
from models.deployment.options import Format
from models.deployment.records import Exports
from models.evaluation.results import Machine
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of

sources = sources_of(__name__, libraries=("onnx", "onnxruntime", "onnxscript"))
_CALIBRATION_IMAGES = 64


@step(cache_policy=cached_by_sources(__name__), output_materializers=ExportsMaterializer)
def export(  # noqa: PLR0913, PLR0917 - makes files and measures them
    chosen: Variant | None,
    dataset: Dataset,
    formats: tuple[Format, ...],
    batch_size: int,
    seed: int,
    seconds: float,
    threads: int,
    machine: Machine | None,
) -> Annotated[Exports, "exports"]:
    """Makes the files on the CPU. Another variant, other data or another machine make them anew, and nothing else.

    Args:
        chosen: The variant; None exports nothing.
        dataset: Its test images judge, and training images say which values activations have.
        formats: What to make.
        batch_size: Images a pass.
        seed: Of the choice of training images.
        seconds: About how long to time each file.
        threads: CPU threads to time with.
        machine: Where the step runs, a part of the cache key; None where that is not known before.
    """
    from models.deployment.export import export_variant  # noqa: PLC0415 - ONNX: seconds, for exports alone
    from models.deployment.measure import Judging  # noqa: PLC0415 - the same

    if chosen is None:
        return Exports(None)
    chosen.check_input(dataset.manifest.channels, dataset.classes)
    train, test = dataset["train"], dataset["test"]
    calibration = np.array(train.images[train.sample(_CALIBRATION_IMAGES, seed)])
    labels = [entry.name for entry in dataset.manifest.classes if entry.index > 0]
    judging = Judging(test.images, test.masks, batch_size, seconds, threads)
    return export_variant(chosen, formats, calibration, labels, judging)
