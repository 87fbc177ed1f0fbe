"""The section of docs/performance.md that `benchmarks/gpu.py` writes."""

from __future__ import annotations

from typing import Any

_LEFT_OUT = ("deployed float32, batch 1", "deployed bf16, batch 1", "deployed bf16, batch 32")  # they are in the result


def section(result: dict[str, Any]) -> list[str]:
    """Returns Markdown for those parts that were measured."""
    lines = [
        f"{result['network']} at {result['side']}x{result['side']} on {result['device']}, torch {result['torch']}."
    ]
    parts = {
        "decomposition": _decomposition,
        "training": _training,
        "latency": _latency,
        "compiled": _compiled,
        "experiment": _experiment,
    }
    for name, part in parts.items():
        if name in result:
            lines += ["", *part(result[name])]
    return lines


def _decomposition(rows: list[dict[str, Any]]) -> list[str]:
    ways = [key for key in rows[0] if key not in ("rows", "columns")]
    lines = ["Milliseconds of one decomposition:", "", f"| matrix | {' | '.join(ways)} |", "|---|" + "---|" * len(ways)]
    for row in rows:
        times = " | ".join(f"{row[way] * 1e3:.1f}" for way in ways)
        lines.append(f"| {row['rows']} x {row['columns']} | {times} |")
    return lines


def _training(modes: dict[str, dict[str, float]]) -> list[str]:
    first = next(iter(modes.values()))["images_per_s"]
    lines = ["| training | images a second | times the first | memory (GiB) |", "|---|---|---|---|"]
    for name, each in modes.items():
        rate = each["images_per_s"]
        lines.append(f"| {name} | {rate:.0f} | {rate / first:.2f} | {each['gib']:.1f} |")
    return lines


def _latency(rows: list[dict[str, Any]]) -> list[str]:
    modes, dense = [mode for mode in rows[0]["ms"] if mode not in _LEFT_OUT], rows[0]
    lines = [
        "Milliseconds a batch, and how many times less than the dense network takes in the same mode:",
        "",
        f"| network | parameters | MACs | {' | '.join(modes)} |",
        "|---|---|---|" + "---|" * len(modes),
    ]
    for row in rows:
        times = " | ".join(f"{row['ms'][mode]:.2f} ({dense['ms'][mode] / row['ms'][mode]:.1f})" for mode in modes)
        params, macs = (100 * row[what] / dense[what] for what in ("params", "macs"))
        lines.append(f"| {row['network']} | {params:.1f} % | {macs:.1f} % | {times} |")
    return lines


def _compiled(found: dict[str, Any]) -> list[str]:
    return [*_training(found["training"]), "", *_latency(found["latency"])]


def _experiment(found: dict[str, Any]) -> list[str]:
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in found["seconds"].items())
    lines = [f"The reference experiment, {found['training']}; seconds: {seconds}.", ""]
    titles = ("variant", "Dice", "recalibrated", "the last in bf16", "IoU", "parameters", "MACs", "latency (ms)")
    lines += [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in found["rows"]:
        quality = ("dice", "dice_recalibrated", "dice_bf16", "iou")
        cells = ["-" if row.get(name) is None else f"{row[name]:.4f}" for name in quality]
        cells += [f"{row['params']:,}", f"{row['macs'] / 1e9:.1f} G", f"{row['latency_ms']:.2f}"]
        lines.append(f"| {row['variant']} | {' | '.join(cells)} |")
    return lines
