"""A variant: a network, how its input is prepared, and how it came about. What travels between pipeline steps."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from models.networks.recipe import Recipe, not_allowed
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant_spec import VariantSpec
from torch_lowrank.io import (
    DESCRIPTION,
    StorageError,
    load_network,
    network_digest,
    read_description,
    save_network,
)
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
        layers: What low-rank compression did to each layer; empty for the baseline and for pruned networks.
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
        arguments = self.recipe.arguments if self.recipe is not None else getattr(self.network, "arguments", None)
        wanted = arguments.get("in_channels", channels) if isinstance(arguments, Mapping) else channels
        if wanted != channels:
            repair = f"use --channels {wanted}" if wanted in (1, 3) else "use one trained on gray or colour images"
            raise VariantError(f"the network takes {wanted} channels, the data were read with {channels}: {repair}")
        if self.classes != classes:
            raise VariantError(
                f"the network has {self.classes} output channels, the masks need {classes}: "
                f"use a network trained on such masks, or {'drop' if classes > 1 else 'add'} --multi_class"
            )

    def digest(self) -> str:
        """Returns a digest of the content: structure, weights and origin; the code of others is in cache keys apart."""
        recipe = dataclasses.replace(self.recipe, code=None) if self.recipe is not None else None
        origin = json.dumps(dataclasses.replace(self, recipe=recipe).about(), sort_keys=True)
        return hashlib.sha256(f"{network_digest(self.network)} {origin}".encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Writes `network.json` and `weights.safetensors` to a folder."""
        save_network(self.network, folder, self.about())

    @classmethod
    def load(cls, folder: str | Path, networks: str | Iterable[str] = ()) -> Variant:
        """Reads what `save` wrote. Of networks that are not ours it imports those alone that the caller allows.

        Args:
            folder: The folder.
            networks: Constructors that may be imported and called, `package.module.Name` or `folder/file.py:Name`; one
                or several. A file may lie elsewhere than when the network was saved, by the same name.

        Raises:
            StorageError: If a file is missing or damaged, or describes no variant.
            NetworkError: If the network is made by a constructor that is not allowed, or cannot be made.
        """
        description = read_description(folder)
        about, file = description["about"], Path(folder) / DESCRIPTION
        if not isinstance(about.get("network", {}), dict):
            raise _no_variant(file, "network", about, "it must hold name, arguments and output")
        recipe = Recipe.of_saved(about["network"], networks, folder) if "network" in about else None
        if recipe is None and description["architecture"].rpartition(".")[2] != UNet.__name__:
            raise not_allowed(description["architecture"], folder)
        origin = _origin(about, file)
        dense = UNet if recipe is None else _once(recipe.build())
        return cls(network=load_network(folder, dense), recipe=recipe, **origin)


def _origin(about: dict[str, Any], file: Path) -> dict[str, Any]:
    """Returns the fields of a variant that `about` of a saved network holds, but for the recipe."""
    readers: dict[str, Callable[[], Any]] = {
        "spec": lambda: VariantSpec.of_saved(about),
        "preprocessing": lambda: Preprocessing.of_saved(about["preprocessing"]),
        "classes": lambda: _classes(about["classes"]),
        "layers": lambda: [LayerReport(**layer) for layer in about["layers"]],
    }
    origin = {}
    for name, read in readers.items():
        try:
            origin[name] = read()
        except KeyError as error:
            raise _no_variant(file, name, about, f"{error} is missing") from error
        except (AttributeError, TypeError, ValueError) as error:
            raise _no_variant(file, name, about, error) from error
    return origin


def _classes(value: object) -> int:
    if not isinstance(value, int) or value < 1:
        raise ValueError("it must be a whole number of 1 or more")
    return value


def _no_variant(file: Path, name: str, about: dict[str, Any], reason: object) -> StorageError:
    given = f"is {about[name]!r}" if name in about else "is missing"
    return StorageError(
        f"{file} is damaged, or its network is no variant of a comparison: about.{name} {given} ({reason}); save the "
        "variant again, by Variant.save"
    )


def _once(network: nn.Module) -> Callable[[], nn.Module]:
    return lambda: network
