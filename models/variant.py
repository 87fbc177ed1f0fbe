"""A variant: a network, how its input is prepared, and how it came about. What travels between pipeline steps."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from torch import nn

from models.networks.recipe import Recipe, not_allowed
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant_spec import VariantSpec
from torch_lowrank.io import load_network, network_digest, read_description, save_network
from torch_lowrank.layers.factorized import count_parameters
from torch_lowrank.report import LayerReport


class VariantError(ValueError):
    """A network does not fit the data it is to be used on."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """The baseline or one compressed network.

    Attributes:
        spec: What the variant is, and its name.
        network: The network.
        preprocessing: From stored images to the network's input.
        classes: 1 for binary masks (one logit), else the number of classes, background included.
        layers: What compression did to each layer; empty for the baseline.
        recipe: How the dense network is made; None is our U-Net.
    """

    spec: VariantSpec
    network: nn.Module
    preprocessing: Preprocessing
    classes: int
    layers: list[LayerReport] = dataclasses.field(default_factory=list)
    recipe: Recipe | None = None

    @property
    def name(self) -> str:
        """For example `baseline` or `svd_rank_16`."""
        return self.spec.name

    @property
    def params(self) -> int:
        """Number of parameters."""
        return count_parameters(self.network)

    def about(self) -> dict[str, Any]:
        """Returns everything but the network as JSON-like data."""
        return {
            "spec": self.spec.to_dict(),
            "preprocessing": dataclasses.asdict(self.preprocessing),
            "classes": self.classes,
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
            **({"network": self.recipe.to_dict()} if self.recipe is not None else {}),
        }

    def with_spec(self, **changes: Any) -> Variant:
        """Returns the variant with some fields of its description replaced, for what was done to its network."""
        return dataclasses.replace(self, spec=dataclasses.replace(self.spec, **changes))

    def check_input(self, channels: int, classes: int) -> None:
        """Checks that the network fits a data set.

        Raises:
            VariantError: If it wants other channels or classes.
        """
        arguments = getattr(self.network, "arguments", None)
        wanted = arguments.get("in_channels", channels) if isinstance(arguments, dict) else channels
        if wanted != channels:
            repair = f"use --channels {wanted}" if wanted in (1, 3) else "use one trained on gray or colour images"
            raise VariantError(f"the network takes {wanted} channels, the data were read with {channels}: {repair}")
        if self.classes != classes:
            raise VariantError(
                f"the network has {self.classes} output channels, the masks need {classes}: "
                f"use a network trained on such masks, or {'drop' if classes > 1 else 'add'} --multi_class"
            )

    def digest(self) -> str:
        """Returns a digest of the content: structure, weights and origin."""
        origin = json.dumps(self.about(), sort_keys=True)
        return hashlib.sha256(f"{network_digest(self.network)} {origin}".encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Writes `network.json` and `weights.safetensors` to a folder."""
        save_network(self.network, folder, self.about())

    @classmethod
    def load(cls, folder: str | Path, networks: Iterable[str] = ()) -> Variant:
        """Reads what `save` wrote. Of networks that are not ours it imports those alone that the caller allows.

        Args:
            folder: The folder.
            networks: Constructors that may be imported and called, `package.module.Name` or `folder/file.py:Name`.

        Raises:
            StorageError: If a file is missing or damaged.
            NetworkError: If the network is made by a constructor that is not allowed, or cannot be made.
        """
        description = read_description(folder)
        about = description["about"]
        recipe = Recipe.of_saved(about["network"], networks, folder) if "network" in about else None
        if recipe is None and description["architecture"].rpartition(".")[2] != UNet.__name__:
            raise not_allowed(description["architecture"], folder)
        dense = UNet if recipe is None else _once(recipe.build())
        return cls(
            spec=VariantSpec.of_saved(about),
            network=load_network(folder, dense),
            preprocessing=Preprocessing.of_saved(about["preprocessing"]),
            classes=about["classes"],
            layers=[LayerReport(**layer) for layer in about["layers"]],
            recipe=recipe,
        )


def _once(network: nn.Module) -> Callable[[], nn.Module]:
    return lambda: network
