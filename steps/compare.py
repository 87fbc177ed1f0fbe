"""Step: all results side by side, on disk and in MLflow."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Annotated, Any

from zenml import step

from configs.schema import RunConfig
from dataset.store import Dataset
from models.results import EvaluationResult
from models.variant import Variant
from steps import runtime
from steps.caching import ROOT
from tracking.outputs import Outputs, remove_stale_networks
from tracking.provenance import provenance
from tracking.runs import TrainingRecord, record
from tracking.stack import tracking_uri


@step(enable_cache=False)
def compare(
    dataset: Dataset,
    history: dict[str, Any],
    baseline: Variant,
    compressed: list[Variant],
    tunings: list[dict[str, Any]],
    results: list[EvaluationResult],
    config: RunConfig,
) -> Annotated[list[dict[str, Any]], "comparison"]:
    """Writes the results and brings MLflow up to date; runs always, so that both are complete after cached runs too."""
    now = runtime.current()
    results = _with_tunings(results, compressed, tunings)
    folder = Path(now.out_dir)
    for variant in (baseline, *compressed):
        variant.save(folder / "networks" / variant.name)
    remove_stale_networks(folder / "networks", [result.name for result in results])
    hidden = {"data_root", "out_dir", "checkpoint", "verbose", "no_cache"} | _not_applied(config)
    settings = config.model_dump(mode="json", exclude=hidden)
    origin = {"seed": str(config.seed), "command": now.command, **provenance(ROOT)}
    files = Outputs(results, history, dataclasses.asdict(dataset.manifest), settings, origin).write(folder)
    data_digest = dataset.content_digest()
    training = TrainingRecord(
        key=hashlib.sha256(f"{baseline.digest()} {data_digest}".encode()).hexdigest(),
        params=_training_params(config),
        tags={"data_digest": data_digest, "git_commit": origin["git_commit"]},
        history=history,
        files=files,
    )
    record(tracking_uri(ROOT), training, results, ROOT / ".mlflow.lock")
    return [result.to_dict() for result in results]


def _with_tunings(
    results: list[EvaluationResult], compressed: list[Variant], tunings: list[dict[str, Any]]
) -> list[EvaluationResult]:
    """Returns the results with the fine-tuning of each network, of which there are as many as networks, or none."""
    if not tunings:
        return results
    of_variant = {variant.name: tuning for variant, tuning in zip(compressed, tunings, strict=True)}
    return [dataclasses.replace(result, finetune_history=of_variant.get(result.name, {})) for result in results]


def _not_applied(config: RunConfig) -> set[str]:
    """Returns the sections that say nothing of this network: how one from elsewhere was trained is not known."""
    return {"training"} if config.checkpoint is not None and not config.finetune.enabled else set()


def _training_params(config: RunConfig) -> dict[str, Any]:
    """Returns the configuration of data, network and training, flat."""
    known = {"data", "input", "model", "training"} - _not_applied(config)
    sections = config.model_dump(mode="json", include=known)
    flat = {f"{section}.{key}": value for section, fields in sections.items() for key, value in fields.items()}
    return {**flat, "seed": config.seed}
