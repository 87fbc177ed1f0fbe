"""The variant that a rank rule makes of a baseline."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from models.variant import Variant
from torch_lowrank.compression import compress
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.ranks.budgets import BudgetError, JointBudget
from torch_lowrank.ranks.rules import RankRule


def compress_variant(  # noqa: PLR0913 - what `compress` takes, and what it is called
    baseline: Variant,
    spectra: Spectra,
    rule: RankRule | JointBudget,
    *,
    name: str,
    method: str,
    setting: dict[str, Any],
    statistics: Statistics | None = None,
    device: str | torch.device | None = None,
) -> Variant:
    """Returns the variant that a rank rule makes of a baseline; see `compress`.

    Raises:
        BudgetError: If a budget cannot be met; the message names the variant.
    """
    try:
        result = compress(baseline.network, rule, spectra=spectra, statistics=statistics, device=device)
    except BudgetError as error:
        other = "" if spectra.scheme == "auto" else ", or try another scheme"
        raise BudgetError(f"{name}: {error}; ask for a larger budget{other}", error.smallest) from error
    return dataclasses.replace(
        baseline,
        name=name,
        method=method,
        setting={**setting, "scheme": spectra.scheme},
        network=result.network,
        layers=result.layers,
    )
