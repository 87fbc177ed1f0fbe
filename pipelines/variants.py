"""The list of variants, and the part that all pipelines share: each is compressed and evaluated by steps of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from configs.schema import CompressionConfig, RunConfig
from models.variant_spec import BASELINE, VariantSpec
from pipelines.devices import Devices
from steps.choose_variant import choose_variant
from steps.collect_statistics import collect_statistics
from steps.compare import compare
from steps.compress_arsvd import compress_arsvd
from steps.compress_budget import compress_budget
from steps.compress_smallest import compress_smallest
from steps.compress_svd import compress_svd
from steps.decompose import decompose
from steps.decompose_weighted import decompose_weighted
from steps.draw_pictures import draw_pictures
from steps.evaluate import evaluate
from steps.export import export
from steps.finetune import finetune
from steps.recalibrate import recalibrate
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


def variant_specs(settings: CompressionConfig) -> list[VariantSpec]:
    """Returns all variants of a comparison but the baseline, in the order in which they are made."""
    entropy = settings.distribution
    svd = [VariantSpec("svd", rank=rank, scheme=settings.scheme) for rank in settings.svd_ranks]
    arsvd = [VariantSpec("arsvd", tau=tau, distribution=entropy, scheme=settings.scheme) for tau in settings.arsvd_taus]
    solved = [
        VariantSpec(method, budget=budget, distribution=entropy if method == "arsvd" else None, scheme=settings.scheme)
        for budget in settings.budgets
        for method in ("svd", "arsvd")
    ]
    allocated = [
        VariantSpec("budget", budget=budget, mac_budget=macs, weighting="curvature", scheme="auto")
        for budget in settings.budgets
        for macs in (None, *settings.mac_budgets)
    ]
    if settings.max_dice_loss is not None:
        smallest = VariantSpec("budget", max_dice_loss=settings.max_dice_loss, weighting="curvature", scheme="auto")
        allocated.append(smallest)
    return [*svd, *arsvd, *solved, *allocated]


def step_names(settings: CompressionConfig) -> list[str]:
    """Returns the names of all steps that a comparison can have, whatever else is switched on."""
    stages = ("compress", "recalibrate", "finetune", "evaluate")
    of_variants = [f"{stage}_{spec.name}" for spec in variant_specs(settings) for stage in stages]
    return [*_SHARED_STEPS, f"evaluate_{BASELINE.name}", *of_variants]


@dataclasses.dataclass
class Sweep:
    """All variants, as steps' outputs.

    Attributes:
        results: The results, the baseline first.
        networks: The compressed networks, in the order of their results.
        tunings: The histories of their fine-tuning, in the same order; empty where there is none.
        spectra: The plain spectra, and those weighted by the data, where they are needed.
    """

    results: list[Any]
    networks: list[Any] = dataclasses.field(default_factory=list)
    tunings: list[Any] = dataclasses.field(default_factory=list)
    spectra: list[Any] = dataclasses.field(default_factory=list)


def sweep(baseline: Any, dataset: Any, config: RunConfig, devices: Devices) -> Sweep:
    """Adds decompose, and compress -> (recalibrate) -> (finetune) -> evaluate for each variant, to a pipeline.

    Args:
        baseline: The baseline network, as a step's output.
        dataset: The data set, as a step's output.
        config: The run.
        devices: Where each step computes.
    """
    swept = Sweep([_evaluated(BASELINE.name, baseline, None, dataset, config, devices)])
    specs = variant_specs(config.compression)
    decomposed = _Decomposed(baseline, dataset, specs, config, devices)
    swept.spectra = decomposed.all()
    for spec in specs:
        if spec.max_dice_loss is None:
            truncated = network = _compressed(spec, baseline, decomposed, config, devices)
        else:
            truncated = network = _smallest(spec, swept.results[0], baseline, dataset, decomposed, config, devices)
        if config.recalibration.enabled:
            network = _recalibrated(spec.name, network, dataset, config, devices)
        if config.finetune.enabled:
            network, tuning = _finetuned(spec.name, network, baseline, dataset, config, devices)
            swept.tunings.append(tuning)
        before = truncated if config.recovers else None
        swept.networks.append(network)
        swept.results.append(_evaluated(spec.name, network, before, dataset, config, devices))
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
        networks, baseline, shape, timing.seconds, timing.threads, devices.of("time_networks"), machine
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


class _Decomposed:
    """The spectra of the baseline, each decomposed once and only where a variant needs it.

    Attributes:
        plain: Spectra in the Frobenius norm, for SVD and ARSVD.
        statistics: Second moments of the training images, for what follows.
        weighted: Spectra weighted by the statistics, for budgets.
    """

    def __init__(
        self, baseline: Any, dataset: Any, specs: Sequence[VariantSpec], config: RunConfig, devices: Devices
    ) -> None:
        self.plain = self.statistics = self.weighted = None
        if any(spec.weighting is None for spec in specs):
            self.plain = decompose(baseline, scheme=config.compression.scheme, device=devices.of("decompose"))
        if any(spec.weighting is not None for spec in specs):
            of_statistics = devices.of("collect_statistics")
            self.statistics = collect_statistics(dataset, baseline, config.statistics, config.seed, of_statistics)
            self.weighted = decompose_weighted(self.statistics, baseline, devices.of("decompose_weighted"))

    def all(self) -> list[Any]:
        """Returns those that there are."""
        return [spectra for spectra in (self.plain, self.weighted) if spectra is not None]


def _compressed(spec: VariantSpec, baseline: Any, decomposed: _Decomposed, config: RunConfig, devices: Devices) -> Any:
    # The spectra come first: ZenML's cache keys depend on the order of inputs, and in `recompress`, where the baseline
    # is no step's output, it counts as the last.
    id_ = f"compress_{spec.name}"
    if spec.method == "budget":
        shape = (config.data.channels, *config.data.image_size)
        step = _named(compress_budget, spec.name, "truncated", config)
        return step(decomposed.weighted, decomposed.statistics, baseline, spec, shape, devices.of(id_), id=id_)
    step = _named({"svd": compress_svd, "arsvd": compress_arsvd}[spec.method], spec.name, "truncated", config)
    return step(decomposed.plain, baseline, spec, id=id_)


def _smallest(
    spec: VariantSpec,
    full: Any,
    baseline: Any,
    dataset: Any,
    decomposed: _Decomposed,
    config: RunConfig,
    devices: Devices,
) -> Any:
    step, id_ = _named(compress_smallest, spec.name, "truncated", config), f"compress_{spec.name}"
    images = config.recalibration.images if config.recalibration.enabled else 0
    return step(
        decomposed.weighted,
        decomposed.statistics,
        full,
        dataset,
        baseline,
        spec,
        images,
        config.training.batch_size,
        config.seed,
        devices.of(id_),
        id=id_,
    )


def _recalibrated(name: str, network: Any, dataset: Any, config: RunConfig, devices: Devices) -> Any:
    step = _named(recalibrate, name, "recalibrated", config)
    images, batch_size, id_ = config.recalibration.images, config.training.batch_size, f"recalibrate_{name}"
    return step(network, dataset, images, batch_size, config.seed, devices.of(id_), id=id_)


def _finetuned(
    name: str, network: Any, baseline: Any, dataset: Any, config: RunConfig, devices: Devices
) -> tuple[Any, Any]:
    step = _named(finetune, name, "finetuned", config)
    teacher = baseline if config.finetune.distillation > 0 else None
    id_ = f"finetune_{name}"
    arguments = (network, dataset, teacher, config.training, config.finetune, config.seed, devices.of(id_))
    return step(*arguments, id=id_)


def _evaluated(name: str, network: Any, truncated: Any, dataset: Any, config: RunConfig, devices: Devices) -> Any:
    step = evaluate.with_options(substitutions={"variant": name})
    id_ = f"evaluate_{name}"
    return step(network, truncated, dataset, config.training.batch_size, devices.of(id_), id=id_)


def _named(step: Any, variant: str, stage: str, config: RunConfig) -> Any:
    """Returns the step with the name of the network that it makes: `<variant>_network` for the variant's last one."""
    stages = {"truncated": True, "recalibrated": config.recalibration.enabled, "finetuned": config.finetune.enabled}
    last = [name for name, enabled in stages.items() if enabled][-1]
    network = f"{variant}_network" if stage == last else f"{variant}_{stage}_network"
    # ZenML's cache key has an artifact's name with its placeholders unfilled, and would take the same network under
    # another name for this one. The environment is part of the key, filled.
    return step.with_options(
        substitutions={"variant": variant, "network": network}, environment={"NETWORK_ARTIFACT": network}
    )
