"""The part that both pipelines share: N variants of one network, each compressed and evaluated by steps of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

from configs.schema import CompressionConfig, RunConfig
from steps.collect_statistics import collect_statistics
from steps.compress_arsvd import compress_arsvd
from steps.compress_budget import compress_budget
from steps.compress_solved import compress_solved
from steps.compress_svd import compress_svd
from steps.decompose import decompose
from steps.decompose_weighted import decompose_weighted
from steps.evaluate import evaluate
from steps.finetune import finetune
from steps.recalibrate import recalibrate

_SHARED_STEPS = (
    "fingerprint_dataset",
    "fingerprint_checkpoint",
    "ingest_coco",
    "import_checkpoint",
    "train_unet",
    "decompose",
    "collect_statistics",
    "decompose_weighted",
    "draw_pictures",
    "compare",
)
MODEL = "compressed_unet"  # ZenML's model: a version of it links data, network and variants of a run


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


def sweep(baseline: Any, dataset: Any, config: RunConfig) -> Sweep:
    """Adds decompose, and compress -> (recalibrate) -> (finetune) -> evaluate for each variant, to a pipeline.

    Args:
        baseline: The baseline network, as a step's output.
        dataset: The data set, as a step's output.
        config: The run.
    """
    swept = Sweep([_evaluated("baseline", baseline, None, dataset, config)])
    swept.spectra, compressed = _compressed(baseline, dataset, config)
    for name, truncated in compressed:
        network = truncated
        if config.recalibration.enabled:
            network = _recalibrated(name, network, dataset, config)
        if config.finetune.enabled:
            network, tuning = _finetuned(name, network, baseline, dataset, config)
            swept.tunings.append(tuning)
        before = truncated if config.recovers else None
        swept.networks.append(network)
        swept.results.append(_evaluated(name, network, before, dataset, config))
    return swept


def variant_names(settings: CompressionConfig) -> list[str]:
    """Returns the names of all variants of a sweep but the baseline."""
    ranks = [f"svd_rank_{rank}" for rank in settings.svd_ranks]
    taus = [f"arsvd_tau_{tau:.12g}" for tau in settings.arsvd_taus]
    budgets = [f"{method}budget_{b:.12g}" for b in settings.budgets for method in ("svd_", "arsvd_", "")]
    return ranks + taus + budgets + [name for name, *_ in _joint_budgets(settings)]


def _joint_budgets(settings: CompressionConfig) -> list[tuple[str, float, float]]:
    """Returns the variants that keep a budget of multiply-accumulates, too: (name, parameters, MACs)."""
    return [(f"budget_{b:.12g}_macs_{m:.12g}", b, m) for b in settings.budgets for m in settings.mac_budgets]


def step_names(settings: CompressionConfig) -> list[str]:
    """Returns the names of all steps that a sweep can have, whatever else is switched on."""
    stages = ("compress", "recalibrate", "finetune", "evaluate")
    of_variants = [f"{stage}_{name}" for name in variant_names(settings) for stage in stages]
    return [*_SHARED_STEPS, "evaluate_baseline", *of_variants]


def _compressed(baseline: Any, dataset: Any, config: RunConfig) -> tuple[list[Any], list[tuple[str, Any]]]:
    # The spectra come first: ZenML's cache keys depend on the order of inputs, and in `recompress`, where the baseline
    # is no step's output, it counts as the last.
    settings = config.compression
    compressed: list[tuple[str, Any]] = []
    decomposed: list[Any] = []

    def add(step: Any, name: str, *inputs: Any) -> None:
        compressed.append((name, _named(step, name, "truncated", config)(*inputs, id=f"compress_{name}")))

    if settings.svd_ranks or settings.arsvd_taus or settings.budgets:
        spectra = decompose(baseline, scheme=settings.scheme, device=config.device_of("decompose"))
        decomposed.append(spectra)
    for rank in settings.svd_ranks:
        name = f"svd_rank_{rank}"
        add(compress_svd, name, spectra, baseline, name, rank)
    for tau in settings.arsvd_taus:
        name = f"arsvd_tau_{tau:.12g}"
        add(compress_arsvd, name, spectra, baseline, name, tau, settings.distribution)
    if settings.budgets:
        device = config.device_of("collect_statistics")
        statistics = collect_statistics(dataset, baseline, config.statistics, config.seed, device)
        weighted = decompose_weighted(statistics, baseline, config.device_of("decompose_weighted"))
        decomposed.append(weighted)
    for budget in settings.budgets:
        ours = f"budget_{budget:.12g}"
        for method in ("svd", "arsvd"):
            name = f"{method}_{ours}"
            add(compress_solved, name, spectra, baseline, name, method, budget, settings.distribution)
    shape = (config.data.channels, *config.data.image_size)
    alone = [(f"budget_{budget:.12g}", budget, None) for budget in settings.budgets]
    for name, budget, macs in [*alone, *_joint_budgets(settings)]:
        device = config.device_of(f"compress_{name}")
        add(compress_budget, name, weighted, statistics, baseline, name, budget, macs, shape, device)
    return decomposed, compressed


def _recalibrated(name: str, network: Any, dataset: Any, config: RunConfig) -> Any:
    step = _named(recalibrate, name, "recalibrated", config)
    images, batch_size, id_ = config.recalibration.images, config.training.batch_size, f"recalibrate_{name}"
    return step(network, dataset, images, batch_size, config.seed, config.device_of(id_), id=id_)


def _finetuned(name: str, network: Any, baseline: Any, dataset: Any, config: RunConfig) -> tuple[Any, Any]:
    step = _named(finetune, name, "finetuned", config)
    teacher = baseline if config.finetune.distillation > 0 else None
    id_ = f"finetune_{name}"
    arguments = (network, dataset, teacher, config.training, config.finetune, config.seed, config.device_of(id_))
    return step(*arguments, id=id_)


def _evaluated(name: str, network: Any, truncated: Any, dataset: Any, config: RunConfig) -> Any:
    step = evaluate.with_options(substitutions={"variant": name})
    id_ = f"evaluate_{name}"
    return step(network, truncated, dataset, config.training.batch_size, config.device_of(id_), id=id_)


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
