"""The configuration of a run from a checkpoint of ours: `network.json` beside it says what the user does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from configs.schema import RunConfig
from configs.sections import ModelConfig, Section
from models.checkpoint_description import Description, description_beside
from models.checkpoint_file import CheckpointError
from models.networks.errors import NetworkError
from models.networks.recipe import name_of, not_allowed

AnySection = TypeVar("AnySection", bound=Section)

_READ, _NORMALISED = ("channels", "image_size", "interpolation"), ("mean", "std")  # of a preprocessing


def as_described(config: RunConfig) -> tuple[RunConfig, Description | None]:
    """Returns the configuration with what is known of its checkpoint, and where that is from; None is nowhere.

    Raises:
        CheckpointError: A setting of the user contradicts the description, which may also be damaged.
        NetworkError: The network is not ours, and the user does not name its constructor.
    """
    found = description_beside(config.checkpoint) if config.checkpoint is not None else None
    if found is None:
        return config, None
    said = dataclasses.asdict(found.preprocessing) if found.preprocessing is not None else {}
    read = {name: said[name] for name in _READ if said.get(name) is not None}
    if found.classes is not None:
        read["multi_class"] = found.classes > 1
    sections: dict[str, Section] = {
        "model": _model(config.model, found),
        "data": _filled(config.data, "data", read, found),
        "input": _filled(config.input, "input", {name: said[name] for name in _NORMALISED if name in said}, found),
    }
    return config.model_copy(update=sections), found


def _filled(section: AnySection, place: str, said: Mapping[str, Any], found: Description) -> AnySection:
    """Returns a section with what is said in the fields that the user has not set.

    Raises:
        CheckpointError: The user has set one otherwise, or it can be no setting of a run.
    """
    for name in section.model_fields_set & said.keys():
        given = getattr(section, name)
        if given != said[name]:
            raise found.contradicts(f"{place}.{name}={_shown(given)}", _shown(said[name]))
    fields = {name: value for name, value in section.model_dump().items() if name in section.model_fields_set}
    try:
        return type(section)(**{**fields, **said})
    except ValueError as error:
        raise CheckpointError(f"{found.file} says of its network what no run can have: {error}") from error


def _model(model: ModelConfig, found: Description) -> ModelConfig:
    """Returns the network's section: the constructor that the user names, called as when the weights were saved."""
    if not found.named:
        if model.network is not None:
            raise found.contradicts(f"--network {model.network}", "that the network is our U-Net")
        return model
    if model.network is None:
        raise NetworkError(_without_network(found))
    if found.constructor is not None and name_of(model.network) != found.constructor:
        raise found.contradicts(f"--network {model.network}", f"{found.constructor} (of a file, the name counts)")
    for name in model.arguments.keys() & found.arguments.keys():
        if model.arguments[name] != found.arguments[name]:
            said = f"{name}={found.arguments[name]!r}"
            raise found.contradicts(f"--network_args with {name}={model.arguments[name]!r}", said)
    if model.output is not None and found.constructor is not None and model.output != found.output:
        raise found.contradicts(f"model.output={model.output}", f"model.output={found.output}")
    output = found.output if model.output is None else model.output
    return model.model_copy(update={"arguments": {**found.arguments, **model.arguments}, "output": output})


def _without_network(found: Description) -> str:
    if found.constructor is not None:
        return str(not_allowed(found.constructor, found.file))
    return (
        f"{found.file} says that the network is not our U-Net, and nothing of what it names is imported: name its "
        "constructor by --network"
    )


def _shown(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
