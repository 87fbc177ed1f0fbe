"""Networks as artifacts: safetensors and JSON, never a pickle."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from zenml import get_step_context
from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer
from models.networks.recipe import Recipe
from models.variant import Variant

_KEY = "networks"  # in the `extra` of a pipeline's configuration, which ZenML leaves out of cache keys


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
        return Variant.load(folder, networks_of_this_step() if self._allowed is None else self._allowed)

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


def networks_in_extra(networks: Sequence[str]) -> dict[str, Any]:
    """Returns the part of a pipeline's `extra` that lets its steps import constructors."""
    return {_KEY: list(networks)}


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
    return Recipe.of_saved(
        {"name": name, "arguments": dict(arguments), "output": output}, networks_of_this_step(), "the run"
    )


def networks_of_this_step() -> list[str]:
    """Returns the constructors that the running step may import; none outside of a step."""
    try:
        context = get_step_context()
    except RuntimeError:  # there is none
        return []
    return networks_of(context.step_run.config.extra)
