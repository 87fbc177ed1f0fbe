"""What share of a network's parameters lies in layers that can be factorised, and why the rest does not."""

from __future__ import annotations

import re

from torch import nn

from torch_lowrank.layers.eligibility import survey
from torch_lowrank.layers.factorized import LowRank, kind_name
from torch_lowrank.report import ParameterShares

_NORMS = (
    nn.modules.batchnorm._NormBase,  # of BatchNorm and InstanceNorm alike; torch has no public name for it
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


def parameter_shares(network: nn.Module) -> ParameterShares:
    """Counts every parameter once, at the first module that holds it.

    Args:
        network: Any network, dense or compressed.
    """
    found = survey(network)
    counts: dict[str | None, int] = {}  # None: can be factorised
    counted: set[int] = set()
    for name, module in network.named_modules():
        group = None if _within(name, found.layers, network) else _reason(name, module, network, found.skipped)
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in counted:
                counted.add(id(parameter))
                counts[group] = counts.get(group, 0) + parameter.numel()
    total = max(1, sum(counts.values()))
    others = {reason: count / total for reason, count in counts.items() if reason is not None}
    ordered = dict(sorted(others.items(), key=lambda item: -item[1]))
    return ParameterShares(counts.get(None, 0) / total, ordered)


def _within(name: str, layers: dict[str, nn.Module], network: nn.Module) -> bool:
    """Whether a module is a layer that can be factorised, or one of the two that it was factorised into."""
    above = name.rpartition(".")[0]
    return name in layers or (above in layers and isinstance(network.get_submodule(above), LowRank))


def _reason(name: str, module: nn.Module, network: nn.Module, skipped: dict[str, str]) -> str:
    parent = network.get_submodule(name.rpartition(".")[0])
    if isinstance(module, nn.MultiheadAttention) or isinstance(parent, nn.MultiheadAttention):
        return "attention (nn.MultiheadAttention)"
    if isinstance(module, _NORMS):
        return "normalisation"
    if isinstance(module, nn.PReLU):
        return "activation (nn.PReLU)"
    kind = kind_name(module)
    if name in skipped:
        reason = re.sub(r" shared with .*", " shared with another layer", skipped[name])
        return reason if kind in reason else f"{kind} ({reason})"
    return f"parameters of {kind} itself"
