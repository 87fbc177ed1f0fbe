"""Checks before any training that budgets can be met, which depends on the shapes of the network alone."""

from __future__ import annotations

import math

import torch

from configs.schema import RunConfig
from models.unet import UNet
from torch_lowrank.ranks.budgets import BudgetError
from torch_lowrank.ranks.costs import mac_costs, parameter_costs, possible_schemes, smallest_share


def check_budgets(config: RunConfig) -> None:
    """Checks that the smallest budget of each kind can be met by itself.

    Raises:
        BudgetError: A budget is below what rank 1 in every layer costs.
    """
    settings, shape = config.compression, (config.data.channels, *config.data.image_size)
    with torch.device("meta"):
        network = UNet(config.data.channels, **config.model.model_dump(exclude={"dropout"}))
    if settings.budgets:
        costs = parameter_costs(network, possible_schemes(network, settings.scheme))
        _check_budget("budgets", min(settings.budgets), smallest_share(costs), settings.scheme)
    if settings.mac_budgets:
        costs = mac_costs(network, possible_schemes(network, "auto"), shape)
        _check_budget("mac_budgets", min(settings.mac_budgets), smallest_share(costs), "auto")


def _check_budget(name: str, budget: float, smallest: float, scheme: str) -> None:
    if budget >= smallest:
        return
    unit = "parameters" if name == "budgets" else "multiply-accumulates"
    raise BudgetError(
        f"compression.{name} (--{name}): {budget:g} cannot be met, as rank 1 everywhere leaves "
        f"{math.ceil(smallest * 1e4) / 1e4:g} of the {unit} by the scheme {scheme}; ask for more"
        + ("" if scheme == "auto" else ", or try compression.scheme=auto"),
        smallest,
    )
