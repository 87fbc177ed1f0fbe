"""Low-rank compression of any network: `import torch_lowrank as lr`.

What is public is imported where it is first used, so that importing one part does not load the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_lowrank.compression import Compressed, compress
    from torch_lowrank.curvature.collect import collect_statistics
    from torch_lowrank.curvature.moments import Statistics
    from torch_lowrank.decomposition.decompose import decompose
    from torch_lowrank.decomposition.spectra import Spectra
    from torch_lowrank.inference import for_inference
    from torch_lowrank.io import StorageError, load_network, save_network
    from torch_lowrank.layers.factorized import LowRank, count_parameters
    from torch_lowrank.quantization.quantize import quantize_weights
    from torch_lowrank.quantization.size_budget import SizeBudget
    from torch_lowrank.quantization.training import round_while_training
    from torch_lowrank.ranks.budgets import BudgetError, JointBudget, MacBudget, ParameterBudget
    from torch_lowrank.ranks.costs import count_macs
    from torch_lowrank.ranks.estimates import EffectiveRank, RelativeCut, StableRank
    from torch_lowrank.ranks.noise import EVBMF, HardThreshold
    from torch_lowrank.ranks.rules import Energy, Entropy, FixedRank, LayerRule, Parameter, RankRatio
    from torch_lowrank.recalibration import recalibrate
    from torch_lowrank.reconstruction import reconstruct
    from torch_lowrank.report import LayerReport

__version__ = "0.1.0"

_HOME = {
    "BudgetError": "ranks.budgets",
    "Compressed": "compression",
    "EVBMF": "ranks.noise",
    "EffectiveRank": "ranks.estimates",
    "Energy": "ranks.rules",
    "Entropy": "ranks.rules",
    "FixedRank": "ranks.rules",
    "HardThreshold": "ranks.noise",
    "JointBudget": "ranks.budgets",
    "LayerReport": "report",
    "LayerRule": "ranks.rules",
    "LowRank": "layers.factorized",
    "MacBudget": "ranks.budgets",
    "Parameter": "ranks.rules",
    "ParameterBudget": "ranks.budgets",
    "RankRatio": "ranks.rules",
    "RelativeCut": "ranks.estimates",
    "SizeBudget": "quantization.size_budget",
    "Spectra": "decomposition.spectra",
    "StableRank": "ranks.estimates",
    "Statistics": "curvature.moments",
    "StorageError": "io",
    "collect_statistics": "curvature.collect",
    "compress": "compression",
    "count_macs": "ranks.costs",
    "count_parameters": "layers.factorized",
    "decompose": "decomposition.decompose",
    "for_inference": "inference",
    "load_network": "io",
    "quantize_weights": "quantization.quantize",
    "recalibrate": "recalibration",
    "reconstruct": "reconstruction",
    "round_while_training": "quantization.training",
    "save_network": "io",
}

__all__ = [
    "EVBMF",
    "BudgetError",
    "Compressed",
    "EffectiveRank",
    "Energy",
    "Entropy",
    "FixedRank",
    "HardThreshold",
    "JointBudget",
    "LayerReport",
    "LayerRule",
    "LowRank",
    "MacBudget",
    "Parameter",
    "ParameterBudget",
    "RankRatio",
    "RelativeCut",
    "SizeBudget",
    "Spectra",
    "StableRank",
    "Statistics",
    "StorageError",
    "collect_statistics",
    "compress",
    "count_macs",
    "count_parameters",
    "decompose",
    "for_inference",
    "load_network",
    "quantize_weights",
    "recalibrate",
    "reconstruct",
    "round_while_training",
    "save_network",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
