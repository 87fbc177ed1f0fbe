"""Checks before any training: the network fits the data and can learn, and budgets can be met."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import torch
from torch import nn

from configs.schema import RunConfig
from configs.trainings import trainings_of
from materializers.variant import StoredNetwork
from models.checkpoint import load_checkpoint, misfit
from models.networks.code_digest import code_digest
from models.networks.errors import NetworkError
from models.networks.recipe import Recipe, absolute, name_of
from models.networks.trial import Wanted, likely_classes, try_network
from models.recalibrate_variant import has_batch_norm
from models.unet import UNet
from torch_lowrank.layers.factorized import count_parameters
from torch_lowrank.layers.parameter_shares import parameter_shares
from torch_lowrank.ranks.budgets import BudgetError
from torch_lowrank.ranks.costs import mac_costs, parameter_costs, possible_schemes, smallest_share

_TRAINED_SO = (
    "put back the code of the training, whose arguments these are, or leave out --reuse_training to train anew"
)


@dataclasses.dataclass(frozen=True)
class NamedNetwork:
    """The network of a run that is not ours.

    Attributes:
        place: Where its constructor lies, on this machine.
        code: Digest of its code, a part of the cache keys of all steps that build or run it.
    """

    place: str
    code: str

    def within(self, root: Path) -> NamedNetwork:
        """Returns the network as a step on another machine finds it, where this repository is the current folder.

        Raises:
            NetworkError: Its file does not lie in the repository.
        """
        file, colon, name = self.place.rpartition(":")
        if not colon:
            return self
        if not Path(file).is_relative_to(root):
            raise NetworkError(
                f"the network's file {file} does not lie in {root}, and steps of a remote stack see nothing else: copy "
                "it into a folder there"
            )
        return dataclasses.replace(self, place=f"{Path(file).relative_to(root)}:{name}")


def check_network(config: RunConfig) -> NamedNetwork | None:
    """Checks the network of a run that trains or imports one, and that its budgets can be met.

    Raises:
        BudgetError: A budget is below what rank 1 in every layer costs.
        NetworkError: The network cannot be made, does not fit the data, or cannot learn.
        CheckpointError: The checkpoint is not one of the network.
    """
    if config.model.network is None:
        for model in (training.config.model for training in trainings_of(config)):
            of = f" of the U-Net of {model.base_filters} filters" if config.model.further_filters else ""
            with torch.device("meta"):
                ours = UNet(config.data.channels, base_filters=model.base_filters, bilinear=model.bilinear)
            check_budgets(config, ours, of)
        return None
    place = absolute(config.model.network)
    given = Recipe(place, config.model.arguments, config.model.output)
    wanted = _wanted(config)
    likely = _likely_classes(config)
    recipe = given.filled(wanted.channels, likely)
    network = recipe.build()
    if config.checkpoint is not None:
        load_checkpoint(config.checkpoint, network)
    notes = try_network(network, wanted, recipe)
    if config.recalibration.enabled and not has_batch_norm(network):
        notes.append("the network has no BatchNorm that keeps statistics, so that --recalibrate changes nothing")
    if wanted.classes is None and given.filled(wanted.channels, likely + 1) != recipe:
        notes.append(f"how many classes the masks have is known when they are read; until then, {likely}")
    _say(given, recipe, network, notes)
    check_budgets(config, network)
    return NamedNetwork(place, code_digest(recipe, network))


def reused_network(config: RunConfig, places: list[str], wanted: str | None) -> NamedNetwork | None:
    """Returns the network of an earlier training, if it is not ours.

    Args:
        config: The run, with the sections of that training.
        places: Where that training's constructor was.
        wanted: The constructor that the command line names: where it is now; None is where it was.

    Raises:
        NetworkError: It is there no more, or the command line names another.
    """
    name = config.model.network
    if wanted is not None and (name is None or name_of(wanted) != name):
        renamed = ", give a file that was renamed its name back" if name is not None and ":" in name else ""
        raise NetworkError(
            f"--network {wanted} is not the network of the training that --reuse_training names, which is "
            f"{name or 'our U-Net'}: leave out --network{renamed}, or leave out --reuse_training to train anew"
        )
    if name is None:
        return None
    here = [absolute(wanted)] if wanted is not None else places
    saved = {"name": name, "arguments": config.model.arguments, "output": config.model.output}
    recipe = Recipe.of_saved(saved, here, "the earlier run")
    filled = recipe.filled(config.data.channels, _likely_classes(config))
    return NamedNetwork(recipe.place, code_digest(filled, filled.build(_TRAINED_SO)))


def check_weights_fit(network: NamedNetwork, stored: StoredNetwork, shown: str) -> None:
    """Checks that the weights of an earlier training fit the network that its constructor makes today.

    Args:
        network: The network.
        stored: What the training stored.
        shown: The stored network, to show.

    Raises:
        NetworkError: They do not, or the constructor fails.
    """
    if stored.recipe is None:
        return
    recipe = Recipe.of_saved(stored.recipe, [network.place], shown)
    if said := misfit(recipe.build(_TRAINED_SO), stored.shapes):
        arguments = ", ".join(f"{name}={value!r}" for name, value in recipe.arguments.items())
        raise NetworkError(
            f"the weights of {shown} do not fit the network that {network.place} makes today ({arguments}): {said}; "
            f"{_TRAINED_SO}"
        )


def without_place(config: RunConfig) -> RunConfig:
    """Returns the configuration with the network's name alone: where a file lies decides no result."""
    if config.model.network is None:
        return config
    model = config.model.model_copy(update={"network": name_of(config.model.network)})
    return config.model_copy(update={"model": model})


def check_budgets(config: RunConfig, network: nn.Module, of: str = "") -> None:
    """Checks that the smallest budget of each kind can be met by itself.

    Args:
        config: The run.
        network: Its network; only shapes matter.
        of: Of which network, to be said behind what is counted; empty where there is one.

    Raises:
        BudgetError: A budget is below what rank 1 in every layer costs.
    """
    settings, shape = config.compression, (config.data.channels, *config.data.image_size)
    if settings.budgets:
        costs = parameter_costs(network, possible_schemes(network, settings.scheme))
        _check_budget("budgets", min(settings.budgets), smallest_share(costs), settings.scheme, of)
    if settings.budgets and settings.mac_budgets:  # pruning alone has no ranks
        costs = mac_costs(network, possible_schemes(network, "auto"), shape)
        _check_budget("mac_budgets", min(settings.mac_budgets), smallest_share(costs), "auto", of)


def _wanted(config: RunConfig) -> Wanted:
    """Returns what the data need, as far as it is known before they are read."""
    data = config.data
    return Wanted(data.channels, data.image_size, None if data.multi_class else 1)


def _likely_classes(config: RunConfig) -> int:
    return likely_classes(config.data.multi_class, len(config.data.categories))


def _say(given: Recipe, recipe: Recipe, network: nn.Module, notes: list[str]) -> None:
    filled = {name: value for name, value in recipe.arguments.items() if name not in given.arguments}
    data = f", by the data {', '.join(f'{name}={value}' for name, value in filled.items())}" if filled else ""
    print(f"{recipe.name}: {count_parameters(network):,} parameters{data}", file=sys.stderr)
    print(f"{recipe.title}: {parameter_shares(network).describe()}", file=sys.stderr)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _check_budget(name: str, budget: float, smallest: float, scheme: str, of: str) -> None:
    if budget >= smallest:
        return
    unit = "parameters" if name == "budgets" else "multiply-accumulates"
    raise BudgetError(
        f"compression.{name} (--{name}): {budget:g} cannot be met, as rank 1 everywhere leaves "
        f"{math.ceil(smallest * 1e4) / 1e4:g} of the {unit}{of} by the scheme {scheme}; ask for more"
        + ("" if scheme == "auto" else ", or try compression.scheme=auto"),
        smallest,
    )
