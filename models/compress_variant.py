"""The variant that a description makes of a baseline."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import torch

from models.variant import Variant
from models.variant_spec import VariantSpec
from torch_lowrank.compression import compress
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.quantization.size_budget import SizeBudget
from torch_lowrank.ranks.budgets import BudgetError, JointBudget, ParameterBudget
from torch_lowrank.ranks.plan import solved_parameter
from torch_lowrank.ranks.rules import Entropy, FixedRank, RankRule

Value = TypeVar("Value")
_FIELDS = {"ratio": "rank_ratio"}  # of a description, where a rule's parameter has another name there


def compress_variant(
    baseline: Variant,
    spectra: Spectra,
    rule: RankRule | JointBudget | SizeBudget,
    spec: VariantSpec,
    *,
    statistics: Statistics | None = None,
    device: str | torch.device | None = None,
) -> Variant:
    """Returns the variant that a rank rule makes of a baseline; see `torch_lowrank.compress`.

    Args:
        baseline: The network to compress; it is not changed.
        spectra: Of that network.
        rule: The rule that `spec` describes, see `svd_rule`, `arsvd_rule`, `budget_rule`, `size_rule` and
            `steps.compress_rule`.
        spec: What the variant is.
        statistics: What the spectra were weighted with; then factors are refined.
        device: Where to refine.

    Raises:
        BudgetError: If a budget cannot be met; the message names the variant.

    Returns:
        The variant; its description has the rank, the tau or whatever else a budget was met by.
    """
    try:
        result = compress(baseline.network, rule, spectra=spectra, statistics=statistics, device=device)
    except BudgetError as error:
        other = "" if spectra.scheme == "auto" else ", or try another scheme"
        raise BudgetError(f"{spec.name}: {error}; ask for a larger budget{other}", error.smallest) from error
    solved = _solved(baseline, spectra, rule, spec)
    return dataclasses.replace(baseline, spec=solved, network=result.network, layers=result.layers)


def svd_rule(spec: VariantSpec) -> RankRule:
    """Returns plain truncated SVD: the rank of the description, or the largest one that meets its budget."""
    if spec.budget is not None:
        return ParameterBudget(spec.budget, FixedRank(1))
    return FixedRank(_given(spec.rank, "rank", spec))


def arsvd_rule(spec: VariantSpec) -> RankRule:
    """Returns adaptive-rank SVD: the tau of the description, or the largest one that meets its budget."""
    distribution = _given(spec.distribution, "distribution", spec)
    if spec.budget is not None:
        return ParameterBudget(spec.budget, Entropy(1.0, distribution))
    return Entropy(_given(spec.tau, "tau", spec), distribution)


def budget_rule(spec: VariantSpec, input_shape: tuple[int, ...]) -> RankRule | JointBudget:
    """Returns global allocation within the description's budgets, or one rank for all layers.

    Args:
        spec: The description.
        input_shape: (channels, height, width) of one image, which multiply-accumulates are counted for.
    """
    budget = _given(spec.budget, "budget", spec)
    if spec.mac_budget is not None:
        return JointBudget(budget, spec.mac_budget, input_shape)
    return ParameterBudget(budget, FixedRank(1) if spec.allocation == "one rank" else None)


def size_rule(spec: VariantSpec) -> SizeBudget:
    """Returns the choice of schemes, ranks and bits within the description's bytes."""
    return SizeBudget(_given(spec.size, "size", spec))


def _solved(
    baseline: Variant, spectra: Spectra, rule: RankRule | JointBudget | SizeBudget, spec: VariantSpec
) -> VariantSpec:
    """Returns the description with the rank, the tau or whatever else its budget was met by, where it has one."""
    if not isinstance(rule, ParameterBudget) or rule.rule is None or spec.method == "budget":
        return spec
    value = solved_parameter(baseline.network, spectra, rule)
    if isinstance(rule.rule, FixedRank):
        return dataclasses.replace(spec, rank=None if value is None else round(value))
    parameter = rule.rule.solvable().name
    met: dict[str, Any] = {_FIELDS.get(parameter, parameter): value}
    return dataclasses.replace(spec, **met)


def _given(value: Value | None, name: str, spec: VariantSpec) -> Value:
    if value is None:
        raise ValueError(f"{spec.name} has no {name}")
    return value
