"""Step: all results side by side, on disk and in MLflow."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from zenml import get_step_context, link_artifact_to_model, step

from analysis.comparison import Comparison
from analysis.examples import telling_images, telling_variants
from analysis.findings import Examples, Findings, SingularValues, is_page
from configs.schema import RunConfig
from dataset.store import Dataset
from materializers.findings import FindingsMaterializer
from models.evaluation.evaluate import predict
from models.evaluation.results import EvaluationResult
from models.variant import Variant
from reporting.bundle import Outputs, remove_stale_networks
from steps import runtime
from steps.caching import ROOT
from torch_lowrank.decomposition.spectra import Spectra
from tracking.mlflow_runs import lock_of, record
from tracking.provenance import provenance
from tracking.run_records import Data, TrainingRecord
from tracking.stack import tracking_uri

_DIGITS = 16  # of digests that people see
_NOT_SHOWN = {"data_root", "out_dir", "checkpoint", "verbose", "no_cache", "registration", "run_settings", "remote_dir"}


@step(enable_cache=False, output_materializers=FindingsMaterializer)
def compare(  # noqa: PLR0913, PLR0917 - everything meets here
    dataset: Dataset,
    history: dict[str, Any],
    baseline: Variant,
    compressed: list[Variant],
    tunings: list[dict[str, Any]],
    results: list[EvaluationResult],
    spectra: list[Spectra],
    config: RunConfig,
    device: str,
) -> Annotated[Findings, "comparison"]:
    """Writes the results and brings MLflow up to date; runs always, so that both are complete after cached runs too."""
    _link_to_model("dataset", "history", "baseline")
    now = runtime.current()
    folder = Path(now.out_dir)
    for variant in (baseline, *compressed):
        variant.save(folder / "networks" / variant.name)
    remove_stale_networks(folder / "networks", [result.name for result in results])
    comparison = Comparison(_with_tunings(results, compressed, tunings))
    outputs = Outputs(
        comparison=comparison,
        history=history,
        manifest=dataclasses.asdict(dataset.manifest),
        config=config.model_dump(mode="json", exclude=_NOT_SHOWN | _not_applied(config)),
        provenance={"seed": str(config.seed), "command": now.command, **provenance(ROOT, now.commit)},
        spectra=_singular_values(spectra),
        examples=_examples(comparison, (baseline, *compressed), dataset, config.training.batch_size, device),
    )
    files = outputs.write(folder)
    training = dataclasses.replace(
        _training(dataset, baseline, config, outputs), files=files, networks=folder / "networks"
    )
    uri = tracking_uri(ROOT)
    recorded = record(uri, training, outputs.comparison, lock_of(uri, ROOT))
    contents = {file.name if place is None else f"{place}/{file.name}": file.read_bytes() for file, place in files}
    return Findings(
        results=outputs.comparison.results,
        pages={name: content for name, content in contents.items() if is_page(name)},
        tables={name: content for name, content in contents.items() if not is_page(name)},
        runs=recorded.runs,
        view=recorded.view,
    )


def _link_to_model(*inputs: str) -> None:
    """Links inputs to the run's ZenML model, which by itself holds only what the run made, and not what it reuses."""
    given = get_step_context().inputs
    for name in inputs:
        for artifact in given[name]:
            link_artifact_to_model(artifact)


def _training(dataset: Dataset, baseline: Variant, config: RunConfig, outputs: Outputs) -> TrainingRecord:
    """Returns what MLflow says of the training, still without files."""
    data_digest, manifest = dataset.content_digest(), dataset.manifest
    key = hashlib.sha256(f"{baseline.digest()} {data_digest}".encode()).hexdigest()
    images = {name: len(dataset[name]) for name in manifest.splits}
    size = f"{manifest.image_size[0]}x{manifest.image_size[1]} {'gray' if manifest.channels == 1 else 'colour'}"
    origin = "training" if outputs.history["epochs"] else "checkpoint"
    return TrainingRecord(
        key=key,
        name=f"{origin} {config.model.base_filters} filters {size} {key[:6]}",
        description=outputs.description(),
        params=_training_params(config),
        tags={"data_digest": data_digest[:_DIGITS], "git_commit": outputs.provenance["git_commit"]},
        history=outputs.history,
        data=Data(f"{sum(images.values()):,} images {size}", data_digest[:_DIGITS], {"images": images}),
        files=[],
        networks=Path(),
    )


def _examples(
    comparison: Comparison, variants: Sequence[Variant], dataset: Dataset, batch_size: int, device: str
) -> Examples:
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
                each.network,
                images,
                each.preprocessing,
                classes=each.classes,
                device=device,
                batch_size=batch_size,
            )
            for each in shown
        },
    )


def _singular_values(spectra: list[Spectra]) -> dict[str, dict[str, SingularValues]]:
    """Returns the spectra without their factors, layer by layer, as `plain` and `weighted`.

    Where a layer has two, those weighted by the data are by the spatial scheme, which the budget method prefers.
    """
    found = {}
    for each in spectra:
        plain = each.weighting == "none"
        layers = each.layers if plain else each.layers | each.alternatives
        found["plain" if plain else "weighted"] = {
            name: SingularValues(spectrum.scheme, spectrum.singular_values.tolist())
            for name, spectrum in layers.items()
        }
    return found


def _with_tunings(
    results: list[EvaluationResult], compressed: list[Variant], tunings: list[dict[str, Any]]
) -> list[EvaluationResult]:
    """Returns the results with the fine-tuning of each network, of which there are as many as networks, or none."""
    if not tunings:
        return results
    of_variant = {variant.name: tuning for variant, tuning in zip(compressed, tunings, strict=True)}
    return [dataclasses.replace(result, finetune_history=of_variant.get(result.name, {})) for result in results]


def _not_applied(config: RunConfig) -> set[str]:
    """Returns what says nothing of this run: how a network from elsewhere was trained is not known."""
    return {"training"} if config.checkpoint is not None and not config.finetune.enabled else set()


def _training_params(config: RunConfig) -> dict[str, Any]:
    """Returns the configuration of data, network and training, flat."""
    known = {"data", "input", "model", "training"} - _not_applied(config)
    sections = config.model_dump(mode="json", include=known)
    flat = {f"{section}.{key}": _text(value) for section, fields in sections.items() for key, value in fields.items()}
    return {**flat, "seed": config.seed}


def _text(value: Any) -> Any:
    """Returns a list as people write it, other values as they are."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value
