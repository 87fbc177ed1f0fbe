"""The section of docs/performance.md that `benchmarks/gpu.py` writes."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu_networks import BATCHES, MODES


def section(result: dict[str, Any]) -> list[str]:
    """Returns Markdown for those parts that were measured."""
    lines = [
        f"{result['network']} at {result['side']}x{result['side']} on {result['device']}, torch {result['torch']}."
    ]
    parts = {"decomposition": _decomposition, "training": _training, "latency": _latency, "experiment": _experiment}
    for name, part in parts.items():
        if name in result:
            lines += ["", *part(result[name])]
    return lines


def _decomposition(rows: list[dict[str, Any]]) -> list[str]:
    ways = [key for key in rows[0] if key not in ("rows", "columns")]
    lines = ["Seconds of one decomposition:", "", f"| matrix | {' | '.join(ways)} |", "|---|" + "---|" * len(ways)]
    for row in rows:
        lines.append(f"| {row['rows']} x {row['columns']} | " + " | ".join(f"{row[way]:.4f}" for way in ways) + " |")
    return lines


def _training(rates: dict[str, float]) -> list[str]:
    plain = rates[MODES[0].name]
    lines = ["| training | images a second | to float32 |", "|---|---|---|"]
    return lines + [f"| {name} | {rate:.1f} | {rate / plain:.2f} |" for name, rate in rates.items()]


def _latency(rows: list[dict[str, Any]]) -> list[str]:
    keys = [f"{mode.name}, batch {batch}" for batch in BATCHES for mode in MODES]
    lines = ["Milliseconds a batch:", "", f"| network | {' | '.join(keys)} |", "|---|" + "---|" * len(keys)]
    for row in rows:
        lines.append(f"| {row['network']} | " + " | ".join(f"{row[key]['ms']:.2f}" for key in keys) + " |")
    return lines


def _experiment(found: dict[str, Any]) -> list[str]:
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in found["seconds"].items())
    lines = [f"The reference experiment, {found['epochs']} epochs, loss `{found['loss']}`; seconds: {seconds}.", ""]
    lines += ["| variant | Dice | IoU | parameters | MACs | latency (ms) |", "|---|---|---|---|---|---|"]
    for row in found["rows"]:
        lines.append(
            f"| {row['variant']} | {row['dice']:.4f} | {row['iou']:.4f} | {row['params']:,} "
            f"| {row['macs'] / 1e9:.1f} G | {row['latency_ms']:.2f} |"
        )
    return lines
