"""The part that both pipelines share: N variants of one network, each compressed and evaluated by steps of its own."""

from __future__ import annotations

from typing import Any

from configs.schema import RunConfig
from steps.compress_arsvd import compress_arsvd
from steps.compress_budget import compress_budget
from steps.compress_svd import compress_svd
from steps.decompose import decompose
from steps.evaluate import evaluate
from steps.finetune import finetune


def sweep(baseline: Any, dataset: Any, config: RunConfig) -> tuple[list[Any], list[Any]]:
    """Adds decompose, and compress and evaluate for each variant, to the pipeline that is being defined.

    Args:
        baseline: The baseline network, as a step's output.
        dataset: The data set, as a step's output.
        config: The run.

    Returns:
        The compressed networks, and the results of all variants, the baseline first; as steps' outputs.
    """
    networks, results = [], [_evaluated("baseline", baseline, dataset, config)]
    settings = config.compression
    if settings.svd_ranks or settings.arsvd_taus or settings.budgets:
        spectra = decompose(baseline, scheme=settings.scheme, device=config.device)
        for name, network in _compressed(baseline, spectra, config):
            final = _finetuned(name, network, dataset, config) if config.finetune.enabled else network
            networks.append(final)
            results.append(_evaluated(name, final, dataset, config))
    return networks, results


def _compressed(baseline: Any, spectra: Any, config: RunConfig) -> list[tuple[str, Any]]:
    # The spectra come first: ZenML's cache keys depend on the order of inputs, and in `recompress`, where the baseline
    # is no step's output, it counts as the last.
    settings = config.compression
    compressed = []
    for rank in settings.svd_ranks:
        name = f"svd_rank_{rank}"
        compressed.append((name, _named(compress_svd, name)(spectra, baseline, name, rank, id=f"compress_{name}")))
    for tau in settings.arsvd_taus:
        name = f"arsvd_tau_{tau:.12g}"
        arsvd = _named(compress_arsvd, name)
        compressed.append((name, arsvd(spectra, baseline, name, tau, settings.distribution, id=f"compress_{name}")))
    for budget in settings.budgets:
        name = f"budget_{budget:.12g}"
        step = _named(compress_budget, name)
        compressed.append((name, step(spectra, baseline, name, budget, id=f"compress_{name}")))
    return compressed


def _evaluated(name: str, network: Any, dataset: Any, config: RunConfig) -> Any:
    step = _named(evaluate, name)
    return step(network, dataset, config.training.batch_size, config.device, id=f"evaluate_{name}")


def _finetuned(name: str, network: Any, dataset: Any, config: RunConfig) -> Any:
    step = _named(finetune, name)
    arguments = (network, dataset, config.training, config.finetune, config.seed, config.device)
    return step(*arguments, id=f"finetune_{name}")


def _named(step: Any, variant: str) -> Any:
    """Returns the step with the variant's name in the names of its artifacts."""
    return step.with_options(substitutions={"variant": variant})
