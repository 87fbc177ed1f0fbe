"""Networks as artifacts: safetensors and JSON, never a pickle."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from safetensors import safe_open
from zenml import get_step_context
from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer
from models.networks.recipe import Recipe
from models.variant import Variant
from torch_lowrank.io import WEIGHTS, read_description

_KEY, _CODE = (
    "networks",
    "networks_code",
)  # in the `extra` of a pipeline's configuration, which ZenML leaves out of cache keys


class VariantMaterializer(FolderMaterializer):
    """Stores a `Variant` as `network.json` and `weights.safetensors`.

    Which constructors it may import when it reads one is said by the run's configuration, not by the artifact. Outside
    of a step it reads our U-Net alone; others are read by `Variant.load(folder, networks=[...])`, or after `allow`.
    """

    ASSOCIATED_TYPES: ClassVar = (Variant,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.MODEL
    FOLDER: ClassVar = "network"

    def write(self, data: Variant, folder: Path) -> None:
        """Writes both files."""
        data.save(folder)

    _allowed: Sequence[str] | None = None

    def allow(self, networks: Sequence[str]) -> VariantMaterializer:
        """Lets constructors be imported, instead of those that the running step allows; returns itself."""
        self._allowed = networks
        return self

    def read(self, folder: Path) -> Variant:
        """Rebuilds the network.

        Raises:
            NetworkError: Its constructor is not one that the run, or the caller, allows.
        """
        variant = Variant.load(folder, networks_of_this_step() if self._allowed is None else self._allowed)
        return dataclasses.replace(variant, recipe=_of_today(variant.recipe))

    def compute_content_hash(self, data: Variant) -> str:
        """Returns a digest of structure, weights and origin."""
        return data.digest()

    def extract_metadata(self, data: Variant) -> dict[str, MetadataType]:
        """Returns what the dashboard shows beside the artifact."""
        ranks = [layer.rank for layer in data.layers if layer.rank is not None]
        summary = {"smallest": min(ranks), "median": statistics.median(ranks), "largest": max(ranks)} if ranks else {}
        return {
            "method": data.spec.method,
            "setting": {key: str(value) for key, value in data.spec.parameters().items()},
            "params": data.params,
            "factorized_layers": len(ranks),
            "ranks": summary,
        }


@dataclasses.dataclass(frozen=True)
class StoredNetwork:
    """What is known of a stored network without its code.

    Attributes:
        recipe: How it is made, if it is not our U-Net.
        shapes: The shapes of its tensors by their names.
    """

    recipe: dict[str, Any] | None
    shapes: dict[str, tuple[int, ...]]


class StoredNetworkMaterializer(VariantMaterializer):
    """Reads what is known of a stored `Variant` without its code; imports and builds nothing."""

    ASSOCIATED_TYPES: ClassVar = (StoredNetwork,)  # type: ignore[assignment]  # another than its parent reads

    def read(self, folder: Path) -> StoredNetwork:  # type: ignore[override]
        """Reads the description, and of the weights their names and shapes."""
        with safe_open(folder / WEIGHTS, framework="numpy") as weights:
            shapes = {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
        return StoredNetwork(read_description(folder)["about"].get("network"), shapes)


def networks_in_extra(networks: Sequence[str], code: str) -> dict[str, Any]:
    """Returns the part of a pipeline's `extra` that lets its steps import constructors, and tells their code."""
    return {_KEY: list(networks), _CODE: code}


def networks_of(extra: Mapping[str, Any]) -> list[str]:
    """Returns what `networks_in_extra` put there."""
    return [str(name) for name in extra.get(_KEY) or ()]


def recipe_of_run(name: str | None, arguments: Mapping[str, Any], output: int | str | None) -> Recipe | None:
    """Returns how the network of the running step's run is made, with the place that the run's configuration gives it.

    Args:
        name: The constructor's name; None is our U-Net, which needs no recipe.
        arguments: What it is called with.
        output: Which of its outputs are the logits.

    Raises:
        NetworkError: The run does not allow it.
    """
    if name is None:
        return None
    saved = {"name": name, "arguments": dict(arguments), "output": output}
    return _of_today(Recipe.of_saved(saved, networks_of_this_step(), "the run"))


def _of_today(recipe: Recipe | None) -> Recipe | None:
    """Returns a recipe with the code that the running step runs, whatever it was when the network was stored."""
    code = _extra_of_this_step().get(_CODE)
    return recipe if recipe is None or code is None else dataclasses.replace(recipe, code=str(code))


def networks_of_this_step() -> list[str]:
    """Returns the constructors that the running step may import; none outside of a step."""
    return networks_of(_extra_of_this_step())


def _extra_of_this_step() -> Mapping[str, Any]:
    try:
        context = get_step_context()
    except RuntimeError:  # there is none
        return {}
    return context.step_run.config.extra
