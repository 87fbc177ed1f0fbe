"""The part that all pipelines share: each variant is compressed and evaluated by steps of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from configs.schema import RunConfig
from configs.trainings import Training, trainings_of
from models.variant_spec import BASELINE
from pipelines.devices import Devices
from pipelines.variant_list import of_training, specs_of, specs_of_training
from pipelines.variant_steps import NAMING, STAGES, VariantSteps, stages_of, step_of
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
    "time_networks",
    "draw_pictures",
    "choose_variant",
    "export",
    "compare",
)
_OF_TRAININGS = ("train_unet", "decompose", "collect_statistics", "decompose_weighted")
MODEL = "compressed_unet"  # ZenML's model: a version of it links data, network and variants of a run


def step_names(config: RunConfig) -> list[str]:
    """Returns the names of all steps that a comparison can have, whatever else is switched on."""
    stages = (*STAGES.values(), "evaluate")
    specs, trainings = specs_of(config), [of_training(BASELINE, each).training for each in trainings_of(config)]
    of_trainings = [step_of(step, training) for training in trainings for step in _OF_TRAININGS]
    naming = [step_of(NAMING, training) for training in trainings if training]
    of_variants = [f"{stage}_{spec.name}" for spec in specs for stage in (("evaluate",) if spec.is_dense else stages)]
    return [*_SHARED_STEPS, *of_trainings, *naming, f"evaluate_{BASELINE.name}", *of_variants]


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network that is compressed.

    Attributes:
        training: Which training it is of.
        network: The dense network, as a step's output.
        history: The curves of its training, as a step's output.
    """

    training: Training
    network: Any
    history: Any


@dataclasses.dataclass
class Sweep:
    """All variants, as steps' outputs.

    Attributes:
        results: The results, the baseline first.
        masks: The masks of the test images of each result.
        full: Seed to the result of the dense network of the main width, which losses are of; None is the main seed.
        networks: The networks but the baseline, in the order of their results.
        timed: Those of them that do not compute as another one does.
        tunings: The histories of their fine-tuning, in the same order, of all that are compressed but twins in few
            bits; empty where there is none.
        spectra: The plain spectra of the main training, and those weighted by the data, where they are needed.
    """

    results: list[Any] = dataclasses.field(default_factory=list)
    masks: list[Any] = dataclasses.field(default_factory=list)
    full: dict[int | None, Any] = dataclasses.field(default_factory=dict)
    networks: list[Any] = dataclasses.field(default_factory=list)
    timed: list[Any] = dataclasses.field(default_factory=list)
    tunings: list[Any] = dataclasses.field(default_factory=list)
    spectra: list[Any] = dataclasses.field(default_factory=list)


def sweep(trained: Sequence[Trained], dataset: Any, devices: Devices) -> Sweep:
    """Adds decompose, and compress -> what follows in `stages_of` -> evaluate for each variant, to a pipeline.

    Args:
        trained: The networks that are compressed; the first is that of the main training.
        dataset: The data set, as a step's output.
        devices: Where each step computes.
    """
    swept = Sweep()
    for each in trained:
        _sweep_one(each, dataset, devices, swept)
    return swept


def _sweep_one(trained: Trained, dataset: Any, devices: Devices, swept: Sweep) -> None:
    """Adds the variants of one training.

    A budget's networks are judged against the training's own dense network. The smallest variant is that within a loss
    against the dense network of the main width, by the same seed.
    """
    config, specs = trained.training.config, specs_of_training(trained.training)
    steps = VariantSteps(trained.network, dataset, specs, config, devices)
    dense = of_training(BASELINE, trained.training)
    finished = {dense.name: trained.network}
    if trained.training.is_main:
        swept.spectra += steps.spectra()
        swept.full[None], masks = steps.evaluated(dense.name, trained.network, None)
        swept.results.append(swept.full[None])
        swept.masks.append(masks)
    own = swept.full[None]
    for spec in specs:
        stages = stages_of(spec, config)
        if spec == dense:
            networks, tuning = [steps.named(spec)], None
        else:
            origin = finished[spec.unrounded.name] if spec.weight_bits else None
            full = own if spec.max_dice_loss is None else swept.full[spec.seed]
            networks, tuning = steps.made(spec, stages, origin, full)
        network = finished[spec.name] = networks[-1]
        swept.networks.append(network)
        if spec.weight_bits is None:
            swept.timed.append(network)
        if tuning is not None:
            swept.tunings.append(tuning)
        truncated = networks[0] if len(networks) > 1 and spec.weight_bits is None else None
        result, masks = steps.evaluated(spec.name, network, truncated)
        swept.results.append(result)
        swept.masks.append(masks)
        if spec == dense:
            own = result
            if spec.filters is None:
                swept.full[spec.seed] = result


def draw_and_compare(
    swept: Sweep, trained: Sequence[Trained], dataset: Any, config: RunConfig, devices: Devices
) -> None:
    """Adds time_networks -> draw_pictures -> (choose_variant -> export) -> compare to a pipeline.

    Args:
        swept: All variants.
        trained: The networks that are compressed; the first is that of the main training, the baseline.
        dataset: The data set, as a step's output.
        config: The run.
        devices: Where each step computes.
    """
    networks, tunings, results, masks = swept.networks, swept.tunings, swept.results, swept.masks
    baseline, history = trained[0].network, trained[0].history
    # Apart from the main one, which may be an artifact of an earlier run: ZenML takes such ones alone, and in no list.
    further = [each.history for each in trained[1:]]
    shape = (config.data.channels, *config.data.image_size)
    timing, machine = config.timing, devices.machine
    latencies = time_networks(
        swept.timed, baseline, shape, timing.seconds, timing.threads, devices.of("time_networks"), machine
    )
    device = devices.of("draw_pictures")
    pictures = draw_pictures(
        results, latencies, networks, tunings, swept.spectra, dataset, baseline, history, further, device
    )
    exports = _exported(swept, baseline, dataset, config, devices) if config.export.formats else None
    compare(
        dataset, history, further, baseline, networks, tunings, results, masks, latencies, pictures, exports, config
    )


def _exported(swept: Sweep, baseline: Any, dataset: Any, config: RunConfig, devices: Devices) -> Any:
    chosen = choose_variant(swept.results, swept.networks, baseline, config.export.variant)
    timing, batch_size = config.timing, config.training.batch_size
    formats, machine = config.export.formats, devices.machine
    return export(chosen, dataset, formats, batch_size, config.seed, timing.seconds, timing.threads, machine)
