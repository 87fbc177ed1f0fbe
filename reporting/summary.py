"""The comparison as files that programs read: `experiment_summary.json`, `results.csv` and `per_image.csv`."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.comparison import Comparison, baseline_in
from analysis.ranking import JUDGED, metric
from dataset.message_text import plural
from models.evaluation.results import EvaluationResult
from models.variant_spec import METHODS

_BYTES_PER_WEIGHT = 4  # float32
TIMES = ("latency_ms", "latency_ratio", "latency_ratio_low", "latency_ratio_high")  # measured anew with other networks


def summarize(comparison: Comparison, about: dict[str, Any]) -> dict[str, Any]:
    """Returns the summary of a run: the baseline, a list of variants for each method, and the methods at equal size.

    Args:
        comparison: All variants, the baseline among them.
        about: Configuration, data set and provenance, kept under their names.
    """
    variants = {
        f"{method}_variants": [_variant(r, comparison) for r in comparison.compressed if r.method == method]
        for method in METHODS
    }
    return finite(
        {
            "baseline": _entry(baseline_in(comparison), comparison),
            **variants,
            "recommended": comparison.recommended.name if comparison.recommended else None,
            "max_dice_loss": comparison.tolerated_loss,
            "equal_bytes": [line.to_dict() for line in comparison.equal_bytes],
            "equal_size": [line.to_dict() for line in comparison.equal_sizes],
            "at_sizes": [line.to_dict() for line in comparison.at_sizes],
            "over_trainings": [line.to_dict() for line in comparison.over_trainings],
            "timed_on": dataclasses.asdict(comparison.machine) if comparison.machine else None,
            "intervals_over": _unit(comparison),
            **_groups(comparison),
            "lesion_sizes": [
                {
                    "size": group.size,
                    "images": len(group.rows),
                    "smallest_px": group.smallest_px,
                    "largest_px": group.largest_px,
                }
                for group in comparison.lesion_groups
            ],
            **about,
        }
    )


def results_table(comparison: Comparison) -> str:
    """Returns CSV with one row a variant."""
    return _csv([_row(result, comparison) for result in comparison.results])


def per_image_table(comparison: Comparison, manifest: Mapping[str, Any]) -> str:
    """Returns CSV with one row for each variant, split and image, so that anybody can repeat the paired comparisons.

    Args:
        comparison: All variants.
        manifest: As in `dataset_manifest.json`, for the names of the files.
    """
    rows = []
    for result in comparison.results:
        for split, columns, groups in (
            ("valid", result.valid_per_image, result.valid_groups),
            ("test", result.per_image, result.groups),
        ):
            names, titles = file_names(manifest, split), [name.replace("/", "_") for name in columns]
            for row, values in enumerate(zip(*columns.values(), strict=True)):
                image = {"variant": result.name, "split": split, "file_name": names[row] if row < len(names) else row}
                image |= {"group": groups[row]} if groups else {}
                rows.append(image | dict(zip(titles, values, strict=True)))
    return _csv(rows)


def file_names(manifest: Mapping[str, Any], split: str) -> list[str]:
    """Returns the file names of a split's images, in the order of their values, as far as the manifest has them."""
    splits = manifest.get("splits")
    found = splits.get(split) if isinstance(splits, Mapping) else None
    samples = found.get("samples", []) if isinstance(found, Mapping) else []
    return [str(sample["file_name"]) for sample in samples]


def run_metrics(result: EvaluationResult, comparison: Comparison) -> dict[str, float]:
    """Returns the numbers of a variant that runs are compared by, absolute and against the baseline.

    Names with a slash belong to a section, which MLflow shows as one: the ends of the intervals (`ci95/dice_low`),
    differences to the baseline (`change/dice`) and to other methods of the same budget (`equal_size/dice_over_svd`),
    Dice by the size of lesions (`lesions/dice_small`), metrics of a class (`classes/dice_edema`), and what networks are
    chosen by (`valid/dice_lesion`).
    """
    baseline = baseline_in(comparison)
    full = metric(baseline, JUDGED)
    numbers = {
        **result.metrics,
        "dice_retained": metric(result, JUDGED) / full if full else math.nan,
        "params": result.cost.params,
        "size_mb": result.cost.size_mb,
        "macs": result.cost.macs,
        **_times(result),
        "param_reduction_pct": _reduction_pct(result.cost.params, baseline.cost.params),
        "size_reduction_pct": _reduction_pct(result.cost.size_bytes, baseline.cost.size_bytes),
        **_intervals(result, comparison, "/"),
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
    text = json.dumps(finite(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")  # a name may hold half of a surrogate pair, which UTF-8 has not


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(column for row in rows for column in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _entry(result: EvaluationResult, comparison: Comparison) -> dict[str, Any]:
    cost = result.cost
    return {
        "name": result.name,
        "method": result.method,
        "ckpt": f"networks/{result.name}/weights.safetensors",
        "info": {
            "params": cost.params,
            "size_MB": cost.size_mb,
            "macs": cost.macs,
            **_times(result),
        },
        "metrics": result.metrics,
        "valid": result.valid,
        **({"classes": result.classes} if result.classes else {}),
        "intervals": comparison.qualities[result.name].numbers(),
        **({"factorizable": dataclasses.asdict(result.factorizable)} if result.factorizable is not None else {}),
        "layers": [dataclasses.asdict(layer) for layer in result.layers],
    }


def _variant(result: EvaluationResult, comparison: Comparison) -> dict[str, Any]:
    baseline = baseline_in(comparison)
    factors = sum(layer.params_after for layer in result.layers if layer.rank is not None)
    return {
        **result.spec.parameters(),
        **_entry(result, comparison),
        "theoretical_factors_MB": factors * _BYTES_PER_WEIGHT / 1e6,
        "compression_vs_baseline_%": {
            "params": _reduction_pct(result.cost.params, baseline.cost.params),
            "size_MB": _reduction_pct(result.cost.size_bytes, baseline.cost.size_bytes),
        },
        "per_layer_ranks": {layer.name: layer.rank for layer in result.layers},
        **({"finetune_history": result.finetune_history} if result.finetune_history else {}),
    }


def _row(result: EvaluationResult, comparison: Comparison) -> dict[str, Any]:
    cost = dataclasses.asdict(result.cost) | {"size_mb": result.cost.size_mb}
    known = {"variant": result.name, "method": result.method, **result.spec.parameters(), **result.metrics, **cost}
    known |= _times(result)
    known |= {"intervals_over": _unit(comparison), **_groups(comparison)}
    return finite(known | _intervals(result, comparison, "_"))


def _unit(comparison: Comparison) -> str | None:
    """Returns `images`, or `patients`, `volumes` or `series`: what is resampled for the intervals; None without any."""
    return comparison.judged_over.unit if comparison.judged_over is not None else None


def _groups(comparison: Comparison) -> dict[str, int | None]:
    """Returns of how many patients the test images are, by what they are: `test_patients`, `test_volumes`."""
    return {f"test_{plural(comparison.group_noun)}": comparison.test_patients}


def _times(result: EvaluationResult) -> dict[str, float]:
    """Returns the time of one image: milliseconds, relative to the baseline, and the ends of that ratio's interval."""
    latency = result.latency
    values = (latency.ms, latency.ratio, latency.low, latency.high) if latency is not None else 4 * (math.nan,)
    return dict(zip(TIMES, values, strict=True))


def _intervals(result: EvaluationResult, comparison: Comparison, separator: str) -> dict[str, float]:
    sections = comparison.qualities[result.name].numbers()
    sections["valid"] = result.valid
    sections["classes"] = {
        f"{name}_{label}": value
        for label, values in zip(_plain(result.classes), result.classes.values(), strict=True)
        for name, value in values.items()
    }
    for line in comparison.equal_sizes:
        if numbers := line.numbers_of(result.name):
            sections["equal_size"] = numbers
    return {
        f"{section}{separator}{name}": value for section, numbers in sections.items() for name, value in numbers.items()
    }


def _plain(names: Iterable[str]) -> list[str]:
    """Returns names with signs that MLflow takes in the name of a metric, each once."""
    plain: list[str] = []
    for name in names:
        text = re.sub(r"[^\w\-. ]", "_", name)
        plain.append(f"{text}_{len(plain)}" if text in plain else text)
    return plain


def _reduction_pct(value: int, full: int) -> float:
    return 100 * (1 - value / full)
