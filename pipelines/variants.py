"""The part that all pipelines share: each variant is compressed and evaluated by steps of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

from configs.schema import CompressionConfig, RunConfig
from models.variant_spec import BASELINE
from pipelines.devices import Devices
from pipelines.variant_list import variant_specs
from pipelines.variant_steps import STAGES, VariantSteps, stages_of
from steps.choose_variant import choose_variant
from steps.compare import compare
from steps.draw_pictures import draw_pictures
from steps.export import export
from steps.time_networks import time_networks

_SHARED_STEPS = (
    "fingerprint_dataset",
    "fingerprint_checkpoint",
    "ingest_coco",
    "import_checkpoint",
    "train_unet",
    "decompose",
    "collect_statistics",
    "decompose_weighted",
    "time_networks",
    "draw_pictures",
    "choose_variant",
    "export",
    "compare",
)
MODEL = "compressed_unet"  # ZenML's model: a version of it links data, network and variants of a run


def step_names(settings: CompressionConfig) -> list[str]:
    """Returns the names of all steps that a comparison can have, whatever else is switched on."""
    stages = (*STAGES.values(), "evaluate")
    of_variants = [f"{stage}_{spec.name}" for spec in variant_specs(settings) for stage in stages]
    return [*_SHARED_STEPS, f"evaluate_{BASELINE.name}", *of_variants]


@dataclasses.dataclass
class Sweep:
    """All variants, as steps' outputs.

    Attributes:
        results: The results, the baseline first.
        networks: The compressed networks, in the order of their results.
        timed: Those of them that do not compute as another one does.
        tunings: The histories of their fine-tuning, in the same order, of all but twins in few bits; empty where there
            is none.
        spectra: The plain spectra, and those weighted by the data, where they are needed.
    """

    results: list[Any]
    networks: list[Any] = dataclasses.field(default_factory=list)
    timed: list[Any] = dataclasses.field(default_factory=list)
    tunings: list[Any] = dataclasses.field(default_factory=list)
    spectra: list[Any] = dataclasses.field(default_factory=list)


def sweep(baseline: Any, dataset: Any, config: RunConfig, devices: Devices) -> Sweep:
    """Adds decompose, and compress -> what follows in `stages_of` -> evaluate for each variant, to a pipeline.

    Args:
        baseline: The baseline network, as a step's output.
        dataset: The data set, as a step's output.
        config: The run.
        devices: Where each step computes.
    """
    specs = variant_specs(config.compression)
    steps = VariantSteps(baseline, dataset, specs, config, devices)
    swept = Sweep([steps.evaluated(BASELINE.name, baseline, None)], spectra=steps.spectra())
    finished = {BASELINE.name: baseline}
    for spec in specs:
        stages = stages_of(spec, config)
        networks, tuning = steps.made(
            spec, stages, finished[spec.unrounded.name] if spec.weight_bits else None, swept.results[0]
        )
        network = finished[spec.name] = networks[-1]
        swept.networks.append(network)
        if spec.weight_bits is None:
            swept.timed.append(network)
        if tuning is not None:
            swept.tunings.append(tuning)
        truncated = networks[0] if len(stages) > 1 and spec.weight_bits is None else None
        swept.results.append(steps.evaluated(spec.name, network, truncated))
    return swept


def draw_and_compare(
    swept: Sweep, baseline: Any, history: Any, dataset: Any, config: RunConfig, devices: Devices
) -> None:
    """Adds time_networks -> draw_pictures -> (choose_variant -> export) -> compare to a pipeline.

    Args:
        swept: All variants.
        baseline: The baseline network, as a step's output.
        history: The curves of its training, as a step's output.
        dataset: The data set, as a step's output.
        config: The run.
        devices: Where each step computes.
    """
    networks, tunings, results = swept.networks, swept.tunings, swept.results
    shape = (config.data.channels, *config.data.image_size)
    timing, machine = config.timing, devices.machine
    latencies = time_networks(
        swept.timed, baseline, shape, timing.seconds, timing.threads, devices.of("time_networks"), machine
    )
    device = devices.of("draw_pictures")
    pictures = draw_pictures(results, latencies, networks, tunings, swept.spectra, dataset, baseline, history, device)
    exports = _exported(swept, baseline, dataset, config, devices) if config.export.formats else None
    compare(dataset, history, baseline, networks, tunings, results, latencies, pictures, exports, config)


def _exported(swept: Sweep, baseline: Any, dataset: Any, config: RunConfig, devices: Devices) -> Any:
    chosen = choose_variant(swept.results, swept.networks, baseline, config.export.variant)
    timing, batch_size = config.timing, config.training.batch_size
    formats, machine = config.export.formats, devices.machine
    return export(chosen, dataset, formats, batch_size, config.seed, timing.seconds, timing.threads, machine)
