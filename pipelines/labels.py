"""What people find runs and steps by in ZenML: names of runs, groups of steps, descriptions, tags of artifacts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from zenml.client import Client
from zenml.config.step_configurations import GroupInfo
from zenml.models import PipelineRunResponse, PipelineUpdate

from configs.loading import network_name
from configs.schema import RunConfig
from configs.trainings import trainings_of
from models.variant_spec import BASELINE
from pipelines.variant_list import of_training, specs_of_training
from pipelines.variant_steps import STAGES, stages_of
from steps.runtime import never_fails

DESCRIPTIONS = {
    "comparison": "Reads a data set, trains a U-Net, compresses it in many ways, measures every variant on the test "
    "images, and compares them.",
    "recompress": "Compresses and compares a network that exists: one of an earlier training, or a checkpoint.",
    "predict": "Draws the masks that a network finds in images.",
}
_SHARED_TAGS = {
    "dataset": ["data"],
    "baseline_network": ["network", "baseline"],
    "train_history": ["training"],
    "spectra": ["spectra"],
    "weighted_spectra": ["spectra"],
    "statistics": ["spectra"],
    "latencies": ["result"],
    "pictures": ["report"],
    "comparison": ["report"],
    "exports": ["network", "deployment"],
    "predictions": ["prediction"],
}
_LONGEST = 40  # signs of one part of a name


def run_name(pipeline: str, *about: str | None) -> str:
    """Returns the name of a run as ZenML fills it in: the pipeline, what it is about, date and time.

    Args:
        pipeline: Name of the pipeline.
        about: Data, network, seed; None is left out. What is no letter, digit, dot or underscore becomes a hyphen.
    """
    plain = (re.sub(r"[^\w.]+", "-", each)[:_LONGEST].strip("-") for each in about if each is not None)
    return "-".join([pipeline, *filter(None, plain), "{date}", "{time}"])


def groups(config: RunConfig) -> dict[str, dict[str, GroupInfo]]:
    """Returns step to its group, as options of a pipeline: the steps of a variant are one; no part of cache keys."""
    found: dict[str, dict[str, GroupInfo]] = {}
    for training in trainings_of(config):
        for spec in (of_training(BASELINE, training), *specs_of_training(training)):
            stages = [] if spec.is_dense else [STAGES[stage] for stage in stages_of(spec, training.config)]
            group = GroupInfo(id=spec.name, name=spec.name)
            found |= {f"{step}_{spec.name}": {"group": group} for step in (*stages, "evaluate")}
    return found


def label(run: PipelineRunResponse, config: RunConfig | None) -> None:
    """Gives a finished run's pipeline its description and its artifacts their tags; a failure of ZenML is a warning.

    Args:
        run: The run, whose results are where they belong.
        config: The run whose variants have artifacts; None where there are no variants.
    """
    with never_fails("pipeline and artifacts have no description or tags in ZenML"):
        _describe(run)
        _tag_artifacts(run, config)


def _describe(run: PipelineRunResponse) -> None:
    """Gives the pipeline of a run its description, if it has another one."""
    client, pipeline = Client(), run.pipeline
    if pipeline is not None and (text := DESCRIPTIONS.get(pipeline.name)) is not None:
        known = client.get_pipeline(pipeline.id)
        if known.get_metadata().description != text:
            client.zen_store.update_pipeline(pipeline.id, PipelineUpdate(description=text))


def _tag_artifacts(run: PipelineRunResponse, config: RunConfig | None) -> None:
    """Gives what the steps of a run have made the tags by which `zenml artifact list --tags` finds it.

    A store is one for all projects of a user: what other runs made is not looked at.
    """
    wanted = _SHARED_TAGS | (_tags_of_variants(config) if config is not None else {})
    outputs = (version for step in run.steps.values() for versions in step.outputs.values() for version in versions)
    made = {version.artifact.id: version.artifact for version in outputs if version.artifact.name in wanted}
    client = Client()
    for artifact in made.values():
        if missing := set(wanted[artifact.name]) - {tag.name for tag in artifact.tags}:
            client.update_artifact(artifact.id, add_tags=sorted(missing))


def _tags_of_variants(config: RunConfig) -> dict[str, list[str]]:
    """Returns artifact to tags: what it is, its method and the name of its variant."""
    found: dict[str, list[str]] = {}
    for training in trainings_of(config):
        for spec in (of_training(BASELINE, training), *specs_of_training(training)):
            about = [spec.method, spec.name] if spec.method != spec.name else [spec.name]
            found[f"{spec.name}_network"] = ["network", *about]
            found[f"{spec.name}_result"] = ["result", *about]
            found[f"{spec.name}_masks"] = ["masks", *about]
            found[f"{spec.name}_finetune_history"] = ["training", *about]
    return found


def labelled(options: Mapping[str, Any], pipeline: str, config: RunConfig, data: str | None) -> dict[str, Any]:
    """Returns a pipeline's options with the name of its run and the groups of its steps.

    Args:
        options: The options; what they say of steps stays.
        pipeline: Name of the pipeline.
        config: The run.
        data: Name of the data, None where it is not known.
    """
    name = run_name(pipeline, data, network_name(config.model), f"seed {config.seed}")
    steps = {step: dict(given) for step, given in options.get("steps", {}).items()}
    for step, group in groups(config).items():
        steps[step] = steps.get(step, {}) | group
    return {**options, "run_name": name, "steps": steps}
