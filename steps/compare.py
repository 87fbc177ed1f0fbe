"""Step: all results side by side, on disk and in MLflow."""

import dataclasses
import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from zenml import get_step_context, link_artifact_to_model, step

from analysis.comparison import joined
from configs.loading import OF_NAMED, OF_UNET, network_name
from configs.schema import RunConfig
from configs.trainings import Training, trainings_of
from dataset.manifest import Manifest
from dataset.store import Dataset
from materializers.report import ReportMaterializer
from models.deployment.layout import EXPORTS
from models.deployment.records import Exports
from models.evaluation.coded_masks import CodedMasks
from models.evaluation.results import EvaluationResult, Latencies
from models.serving.segmenter import DEFAULTS
from models.serving.travelling_code import travelling_code
from models.variant import Variant
from reporting.bundle import ReportBundle, ReportContent, remove_stale_networks, write_files
from reporting.exports import write_exports
from reporting.html.about import About
from reporting.html.seen_images import SeenImages
from steps import runtime
from steps.caching import ROOT
from tracking.addresses import lock_of
from tracking.mlflow_runs import record
from tracking.pages.machine_load import LOAD
from tracking.provenance import provenance
from tracking.run_records import REPORT, Data, Serving, TrainingRecord
from tracking.stack import tracking_uri

_RESULTS = "results"  # folder of a training's run in MLflow; not before the report in any list
_DIGITS = 16  # of digests that people see
_EXAMPLE_SIZE = (32, 32)  # of an input of our U-Net in MLflow
_NOT_SHOWN = {"data_root", "out_dir", "checkpoint", "verbose", "no_cache", "registration", "run_settings", "remote_dir"}


@step(enable_cache=False, output_materializers=ReportMaterializer)
def compare(  # noqa: PLR0913, PLR0917 - everything meets here
    dataset: Dataset,
    history: dict[str, Any],
    further: list[dict[str, Any]],
    baseline: Variant,
    compressed: list[Variant],
    tunings: list[dict[str, Any]],
    results: list[EvaluationResult],
    masks: list[CodedMasks],
    latencies: Latencies,
    pictures: dict[str, bytes],
    exports: Exports | None,
    config: RunConfig,
) -> Annotated[ReportBundle, "comparison"]:
    """Writes the results and brings MLflow up to date; runs always, so that both are complete after cached runs too."""
    _link_to_model("dataset", "history", "baseline")
    now = runtime.current()
    folder = Path(now.out_dir)
    for variant in (baseline, *compressed):
        variant.save(folder / "networks" / variant.name)
    remove_stale_networks(folder / "networks", [result.name for result in results])
    comparison = joined(results, latencies, tunings, imported=not history["epochs"])
    about = _about([history, *further], dataset.manifest, exports, config, now)
    by_name = {result.name: coded for result, coded in zip(results, masks, strict=True)}
    seen = SeenImages(dataset["test"].images, dataset["test"].masks, by_name)
    content = ReportContent(comparison, about, pictures, seen)
    files = content.files()
    write_files(files, folder)
    write_exports(exports, folder / EXPORTS)
    uri = tracking_uri(ROOT)
    training = dataclasses.replace(
        _training(dataset, baseline, trainings_of(config)[0].config, content, now),
        files=_placed(files, folder),
        networks=folder / "networks",
        machine_load=_loads("history")[0],
    )
    others = _further(training, dataset.manifest, compressed, further, config)
    recorded = record(uri, [training, *others], comparison, lock_of(uri, ROOT))
    known = None if exports is None else dataclasses.replace(exports, files={})
    return ReportBundle(comparison.results, files, recorded.runs, recorded.view, known)


def _about(
    histories: list[dict[str, Any]],
    manifest: Manifest,
    exports: Exports | None,
    config: RunConfig,
    now: runtime.Runtime,
) -> About:
    """Returns what the report says besides the results."""
    return About(
        history=histories[0],
        trainings=_described(histories, config) if len(histories) > 1 else [],
        manifest=dataclasses.asdict(manifest),
        config=_shown(config),
        provenance={
            "seed": str(config.seed),
            "command": now.command,
            **({"network": "its code has changed since it was trained"} if now.network_changed else {}),
            **({"network_code": now.network_code} if now.network_code is not None else {}),
            **({"gpu_steps": ", ".join(now.gpu_steps)} if now.gpu_steps else {}),
            **provenance(ROOT, now.commit),
        },
        exports=exports,
    )


def _link_to_model(*inputs: str) -> None:
    """Links inputs to the run's ZenML model, which by itself holds only what the run made, and not what it reuses."""
    given = get_step_context().inputs
    for name in inputs:
        for artifact in given[name]:
            link_artifact_to_model(artifact)


def _training(
    dataset: Dataset, baseline: Variant, config: RunConfig, content: ReportContent, now: runtime.Runtime
) -> TrainingRecord:
    """Returns what MLflow says of the training, still without files."""
    data_digest, manifest = dataset.content_digest(), dataset.manifest
    key = hashlib.sha256(f"{baseline.digest()} {data_digest}".encode()).hexdigest()
    images = {name: len(dataset[name]) for name in manifest.splits}
    counted = f"{sum(images.values()):,} images {_size(manifest)}"
    origin = "training" if content.about.history["epochs"] else "checkpoint"
    return TrainingRecord(
        key=key,
        name=_title(origin, runtime.short_data_name(now.to_extra()), config, manifest, key),
        description=content.description(),
        params=_training_params(config),
        tags={"data_digest": data_digest[:_DIGITS], "git_commit": content.about.provenance["git_commit"]},
        history=dict(content.about.history),
        data=Data(
            name=": ".join(filter(None, (runtime.data_name_of(now.to_extra()), counted))),
            digest=data_digest[:_DIGITS],
            profile={"images": images, "classes": manifest.class_names},
            place=now.data_root or get_step_context().inputs["dataset"][0].uri,
            image_shape=(*manifest.image_size, manifest.channels),
        ),
        serving=_serving(baseline, manifest),
        files=[],
        networks=Path(),
    )


def _further(
    main: TrainingRecord,
    manifest: Manifest,
    networks: list[Variant],
    histories: list[dict[str, Any]],
    config: RunConfig,
) -> list[TrainingRecord]:
    """Returns what MLflow says of the further trainings.

    Their runs are of this comparison alone: all of their variants are compared with the main training's baseline.
    """
    dense = [variant for variant in networks if variant.spec.is_dense]
    data, records = runtime.short_data_name(runtime.current().to_extra()), []
    known = zip(trainings_of(config)[1:], dense, histories, _loads("further"), strict=True)
    for training, variant, history, load in known:
        key = hashlib.sha256(f"{variant.digest()} {main.key}".encode()).hexdigest()
        records.append(
            dataclasses.replace(
                main,
                key=key,
                name=_title("distillation" if _taught(training) else "training", data, training.config, manifest, key),
                training=variant.spec.training,
                description=f"The training {variant.name}, compared with that of the run {main.name}.",
                params=_training_params(training.config) | _taught(training),
                history=history,
                files=[],
                machine_load=load,
            )
        )
    return records


def _loads(name: str) -> list[dict[str, list[float]]]:
    """Returns what the trainings of an input took of their machines, where that is known."""
    found: list[Any] = [history.run_metadata.get(LOAD) for history in get_step_context().inputs.get(name, [])]
    return [dict(load or {}) for load in found]


def _described(histories: list[dict[str, Any]], config: RunConfig) -> list[dict[str, Any]]:
    """Returns what distinguishes the trainings of a run, with the curves of each; the main one first."""
    return [
        {
            "filters": each.config.model.base_filters if each.config.model.network is None else None,
            "seed": each.config.seed,
            **_taught(each),
            **history,
        }
        for each, history in zip(trainings_of(config), histories, strict=True)
    ]


def _taught(training: Training) -> dict[str, Any]:
    """Returns how much of the loss a teacher had; of a training without one, nothing."""
    return {} if training.distilled is None else {"distilled": training.distilled}


def _serving(baseline: Variant, manifest: Manifest) -> Serving:
    """Returns what opens the networks in MLflow; not all that are not ours take an example of another size."""
    code = travelling_code(baseline)
    return Serving(
        loader=code.loader,
        code=code.files,
        requirements=code.requirements,
        config=DEFAULTS,
        channels=manifest.channels,
        classes=baseline.classes,
        example_size=manifest.image_size if baseline.recipe is not None else _EXAMPLE_SIZE,
    )


def _placed(files: dict[str, bytes], folder: Path) -> list[tuple[Path, str | None]]:
    """Returns where each file was written, and its folder within the run in MLflow; None is the top.

    The report alone lies at the top, where nobody has to look for it.
    """
    return [(folder / name, None if name == REPORT else str(PurePosixPath(_RESULTS, name).parent)) for name in files]


def _title(origin: str, data: str | None, config: RunConfig, manifest: Manifest, key: str) -> str:
    """Returns the name of a training's run in MLflow: data, network and seed, and a part of its key."""
    seed = f"seed {config.seed}"
    return f"{origin} {', '.join(filter(None, (data, network_name(config.model), seed, _size(manifest), key[:6])))}"


def _size(manifest: Manifest) -> str:
    return f"{manifest.image_size[0]}x{manifest.image_size[1]} {'gray' if manifest.channels == 1 else 'colour'}"


def _shown(config: RunConfig) -> dict[str, Any]:
    """Returns the configuration without what says nothing of this run, and without the folders of this machine.

    How a network from elsewhere was trained is not known.
    """
    known = config.checkpoint is None or config.finetune.enabled
    shown = config.model_dump(mode="json", exclude=_NOT_SHOWN if known else _NOT_SHOWN | {"training"})
    for field in OF_NAMED if config.model.network is None else (*OF_UNET, "further_filters"):
        del shown["model"][field]
    return shown


def _training_params(config: RunConfig) -> dict[str, Any]:
    """Returns the configuration of data, network and training, flat."""
    shown = _shown(config)
    shown["model"].pop("further_filters", None)  # they are trainings of their own
    sections = {name: shown[name] for name in ("data", "input", "model", "training") if name in shown}
    flat = {f"{section}.{key}": _text(value) for section, fields in sections.items() for key, value in fields.items()}
    return {**flat, "seed": config.seed}


def _text(value: Any) -> Any:
    """Returns a list as people write it, arguments as JSON, other values as they are."""
    if isinstance(value, dict):
        return json.dumps(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else value
