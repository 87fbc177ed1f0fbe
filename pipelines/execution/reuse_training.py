"""Finds the trained network of an earlier run, so that it can be compressed without the data folder."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import BaseModel
from zenml.client import Client
from zenml.enums import ExecutionStatus, SorterOps
from zenml.models import StepRunResponse

from configs.loading import network_title, stored_as
from configs.schema import RunConfig
from configs.sections import DataConfig, InputConfig, ModelConfig, TrainingConfig
from materializers.variant import StoredNetwork, StoredNetworkMaterializer, networks_of
from pipelines.training_origin import Origin, origin_of
from steps.runtime import network_code_of

_PIPELINE, _TRAIN_STEP = "comparison", "train_unet"
_RUNS_SEARCHED = 100
_DONE = (ExecutionStatus.COMPLETED, ExecutionStatus.CACHED)


class TrainingNotFoundError(ValueError):
    """There is no such training."""


@dataclasses.dataclass(frozen=True)
class Training:
    """A trained network of an earlier run.

    Attributes:
        dataset_id: Id of the artifact version of the data it was trained on.
        network_id: Id of the artifact version of the network.
        history_id: Id of the artifact version of its training history.
        network: Name, version and date of the network's artifact, to show.
        origin: What it was trained on, and how good it became.
        config: The sections of the configuration with which it was trained.
        networks: Where the constructor of its network was, if it is not our U-Net.
        network_code: Digest of that network's code at that time.
    """

    dataset_id: str
    network_id: str
    history_id: str
    network: str
    origin: Origin
    config: dict[str, Any]
    networks: list[str]
    network_code: str | None

    def configure(self, config: RunConfig) -> RunConfig:
        """Returns the configuration with the sections of this training."""
        return config.model_copy(update=self.config)

    def stored(self) -> StoredNetwork:
        """Reads what is known of the network without its code.

        Raises:
            DamagedArtifactError: Its files are not those that were stored.
        """
        uri, store = Client().get_artifact_version(self.network_id).uri, Client().active_stack.artifact_store
        return StoredNetworkMaterializer(uri, store).load(StoredNetwork)

    def describe(self, wanted: RunConfig) -> str:
        """Returns a description of the network, with the fields of a configuration that do not hold for it."""
        data, model = self.config["data"], self.config["model"]
        trained_on = f"trained on {self.origin.shown_data} ({stored_as(data)})"
        about = [network_title(model), f"seed {self.config['seed']}", trained_on, self.origin.dice]
        lines = [f"going on from {self.network} (run {self.origin.run}): {', '.join(filter(None, about))}"]
        holds = [
            f"{name}.{field}={getattr(section, field)} (not {getattr(getattr(wanted, name), field)})"
            for name, section in self.config.items()
            if isinstance(section, BaseModel)
            for field in sorted(getattr(wanted, name).model_fields_set)
            if getattr(getattr(wanted, name), field) != getattr(section, field)
        ]
        if "seed" in wanted.model_fields_set and wanted.seed != self.config["seed"]:
            holds.append(f"seed={self.config['seed']} (not {wanted.seed})")
        if holds:
            lines.append(f"note: it was trained otherwise, and that holds: {', '.join(holds)}")
        return "\n".join(lines)


def find_training(which: str) -> Training:
    """Finds an earlier training.

    Args:
        which: `latest`, the name or id of a pipeline run, or `artifact:version` of a baseline network.

    Raises:
        TrainingNotFoundError: There is none; the message names what there is.
    """
    step = _step_of_artifact(which) if ":" in which else _step_of_run(which)
    dataset, network = step.inputs["dataset"][0], step.outputs["baseline_network"][0]
    sections: dict[str, Any] = {
        **_sections(step, {"model": ModelConfig, "training": TrainingConfig}),
        **_sections(step, {"inputs": InputConfig}),
        **_sections(dataset.step, {"data": DataConfig}),
    }
    sections["input"] = sections.pop("inputs")
    return Training(
        dataset_id=str(dataset.id),
        network_id=str(network.id),
        history_id=str(step.outputs["train_history"][0].id),
        network=f"{network.name}:{network.version} of {network.created:%Y-%m-%d %H:%M} UTC",
        origin=origin_of(step, dataset.step, sections["data"].format),
        config={**sections, "seed": step.config.parameters["seed"]},
        networks=networks_of(step.config.extra),
        network_code=network_code_of(step.config.extra),
    )


def _step_of_artifact(which: str) -> StepRunResponse:
    name, _, version = which.partition(":")
    try:
        artifact = Client().get_artifact_version(name, version)
    except KeyError as error:
        known = Client().list_artifact_versions(artifact="baseline_network", sort_by="desc:created", size=5).items
        there = ", ".join(f"baseline_network:{item.version}" for item in known) or "none yet"
        raise TrainingNotFoundError(f"there is no artifact {which}; the latest networks are: {there}") from error
    step = artifact.step
    if step.name != _TRAIN_STEP and not step.name.startswith(f"{_TRAIN_STEP}_"):  # of a further training
        raise TrainingNotFoundError(
            f"{which} was made by step {step.name}; name a version of baseline_network that a training made"
        )
    return step


def _step_of_run(which: str) -> StepRunResponse:
    client = Client()
    if which == "latest":
        runs = client.list_pipeline_runs(
            pipeline_name=_PIPELINE,
            stack_id=client.active_stack_model.id,  # runs of another repository have another stack
            sort_by=f"{SorterOps.DESCENDING}:created",
            size=_RUNS_SEARCHED,
        ).items
    else:
        try:
            runs = [client.get_pipeline_run(which)]
        except KeyError as error:
            raise TrainingNotFoundError(f"there is no run {which!r}; see `zenml pipeline runs list`") from error
    for run in runs:
        step = run.steps.get(_TRAIN_STEP)
        if step is not None and step.status in _DONE and "dataset" in step.inputs:
            return step
    if which == "latest":
        raise TrainingNotFoundError("no network has been trained yet; run once without --reuse_training")
    raise TrainingNotFoundError(f"run {which!r} has trained no network; see `zenml pipeline runs list`")


def _sections(step: StepRunResponse, classes: dict[str, type[BaseModel]]) -> dict[str, BaseModel]:
    """Returns configuration sections from a step's parameters, without fields that do not exist any more."""
    sections = {}
    for name, section in classes.items():
        stored = step.config.parameters[name]
        fields = stored.model_dump() if isinstance(stored, BaseModel) else stored
        sections[name] = section(**{key: value for key, value in fields.items() if key in section.model_fields})
    return sections
