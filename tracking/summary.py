"""The comparison as files that programs read: `experiment_summary.json` and `results.csv`."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from models.results import EvaluationResult
from tracking.tradeoffs import PARAMETER, in_order

_BYTES_PER_WEIGHT = 4  # float32


def summarize(results: Sequence[EvaluationResult], about: dict[str, Any]) -> dict[str, Any]:
    """Returns the summary of a run: the baseline, and a list of variants for each method.

    Args:
        results: All variants, the baseline among them.
        about: Configuration, data set and provenance, kept under their names.
    """
    baseline = next(result for result in results if result.method == "baseline")
    variants: dict[str, list[dict[str, Any]]] = {f"{method}_variants": [] for method in PARAMETER}
    for result in in_order(results):
        if result.method != "baseline":
            variants[f"{result.method}_variants"].append(_variant(result, baseline))
    return finite({"baseline": _entry(baseline), **variants, **about})


def results_table(results: Sequence[EvaluationResult]) -> str:
    """Returns CSV with one row a variant."""
    rows = [_row(result) for result in in_order(results)]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def run_metrics(result: EvaluationResult, baseline: EvaluationResult) -> dict[str, float]:
    """Returns the numbers of a variant that runs are compared by, absolute and against the baseline."""
    full = baseline.metrics["dice"]
    numbers = {
        **result.metrics,
        "dice_retained": result.metrics["dice"] / full if full else math.nan,
        "params": result.cost.params,
        "size_mb": result.cost.size_mb,
        "macs": result.cost.macs,
        "latency_ms": result.cost.latency_ms,
        "param_reduction_pct": _reduction_pct(result.cost.params, baseline.cost.params),
        "size_reduction_pct": _reduction_pct(result.cost.size_bytes, baseline.cost.size_bytes),
    }
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}


def finite(value: Any) -> Any:
    """Returns JSON-like data in which every number that is not finite is None."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(value: Any) -> bytes:
    """Returns strict JSON, indented."""
    return (json.dumps(finite(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _entry(result: EvaluationResult) -> dict[str, Any]:
    cost = result.cost
    return {
        "name": result.name,
        "method": result.method,
        "ckpt": f"networks/{result.name}/weights.safetensors",
        "info": {
            "params": cost.params,
            "size_MB": cost.size_mb,
            "macs": cost.macs,
            "latency_ms": cost.latency_ms,
        },
        "metrics": result.metrics,
        "layers": [dataclasses.asdict(layer) for layer in result.layers],
    }


def _variant(result: EvaluationResult, baseline: EvaluationResult) -> dict[str, Any]:
    factors = sum(layer.params_after for layer in result.layers if layer.rank is not None)
    return {
        **result.setting,
        **_entry(result),
        "theoretical_factors_MB": factors * _BYTES_PER_WEIGHT / 1e6,
        "compression_vs_baseline_%": {
            "params": _reduction_pct(result.cost.params, baseline.cost.params),
            "size_MB": _reduction_pct(result.cost.size_bytes, baseline.cost.size_bytes),
        },
        "per_layer_ranks": {layer.name: layer.rank for layer in result.layers},
        **({"finetune_history": result.finetune_history} if result.finetune_history else {}),
    }


def _row(result: EvaluationResult) -> dict[str, Any]:
    cost = dataclasses.asdict(result.cost) | {"size_mb": result.cost.size_mb}
    return finite({"variant": result.name, "method": result.method, **result.setting, **result.metrics, **cost})


def _reduction_pct(value: int, full: int) -> float:
    return 100 * (1 - value / full)
