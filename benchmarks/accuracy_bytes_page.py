"""Tables of docs/results.md from what `benchmarks/accuracy.py --bytes` measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.intervals import Interval, mean_interval, paired_interval
from benchmarks.pages import write_section

BITS = (8, 4, 3, 2)  # of the network itself
SHARES = (15, 20, 30, 50, 80)  # one of so many parts of the bytes
OURS = "scheme, rank and bits of each layer together (`size`)"
TITLES = {
    "size": OURS,
    "budget 8": "`budget`, 8 bits",
    "budget 4": "`budget`, 4 bits",
    "svd 8": "SVD, one rank for all, channel, 8 bits",
    "svd_spatial 8": "SVD, one rank for all, spatial, 8 bits",
    "baseline": "the network itself, in the most bits that fit",
}
CANNOT = "cannot be met"


def write_bytes_page(name: str, record: dict[str, Any]) -> None:
    """Puts the tables between the page's markers."""
    groups = {"all test images": np.ones(len(record["about"]["lesion"]), dtype=bool)}
    lesion = np.asarray(record["about"]["lesion"])
    if not lesion.all():
        groups["test images with a lesion"] = lesion
    lines = summary(record)
    for title, chosen in groups.items():
        lines += [f"**Dice over {title}**", "", *table(record, chosen), *recovered(record, chosen)]
    for title, chosen in groups.items():
        lines += [
            f"Paired differences over {title}, ours minus the other; **bold** where the interval excludes zero.",
            "",
            *differences(record, chosen),
        ]
    write_section("results.md", f"bytes {name}", ["", *lines])


def summary(record: dict[str, Any]) -> list[str]:
    """Returns what was measured."""
    about = record["about"]
    lesion = sum(about["lesion"])
    of_them = "all with a lesion" if lesion == about["test_images"] else f"{lesion} with a lesion"
    dice, (height, width) = mean_interval(record["results"]["baseline"]["plain"]), about["image_size"]
    return [
        f"`{about['network']}` on the {about['test_images']} test images of `{about['data']}` ({of_them}) at "
        f"{height}x{width}: {about['parameters']:,} parameters, {about['bytes']:,} bytes, baseline Dice {_text(dice)}. "
        "In each cell the mean over images and its 95 % bootstrap interval.",
        "",
    ]


def key(method: str, share: int) -> str:
    """Returns the name of a result."""
    return f"{method} 1/{share}"


def table(record: dict[str, Any], chosen: np.ndarray) -> list[str]:
    """Returns Dice by method and size, and that of the network itself by bits."""
    rows = []
    for method, title in TITLES.items():
        cells = [_cell(_at(record, method, share), chosen) for share in SHARES]
        rows.append(f"| {title} | {' | '.join(cells)} |")
    sizes = [f"{bits} bits, {_part(record, f'baseline {bits}')}" for bits in BITS]
    few = [
        f"| {title} | {' | '.join(_cell(record['results'][f'{name} {bits}'], chosen) for bits in BITS)} |"
        for name, title in (("baseline", "rounding that knows the data"), ("nearest", "rounding to the nearest"))
    ]
    head = [f"| the network itself in | {' | '.join(sizes)} |", "|---" * (len(BITS) + 1) + "|"]
    return [*_head("bytes"), *rows, "", *head, *few, ""]


def recovered(record: dict[str, Any], chosen: np.ndarray) -> list[str]:
    """Returns Dice after recovery, empty where none was measured."""
    found = [record["results"].get(key("recovered", share), {}) for share in SHARES]
    if not any(found):
        return []
    cells = " | ".join(_cell(each, chosen, "recovered") for each in found)
    epochs = record["about"]["tuning"]["epochs"]
    return [*_head(f"after {epochs} epochs of recovery"), f"| {OURS} | {cells} |", ""]


def differences(record: dict[str, Any], chosen: np.ndarray) -> list[str]:
    """Returns paired differences over the same images: ours against the others and against the baseline."""
    results, rows = record["results"], []
    others = {"the baseline in float32": [results["baseline"]["plain"]] * len(SHARES)}
    for method, title in list(TITLES.items())[1:]:
        others[title] = [_at(record, method, share).get("recalibrated") for share in SHARES]
    for bits in BITS[1:]:
        title = f"the network itself in {bits} bits, {_part(record, f'baseline {bits}')}"
        others[title] = [results[f"baseline {bits}"]["recalibrated"]] * len(SHARES)
    for title, values in others.items():
        ours = [_at(record, "size", share).get("recalibrated") for share in SHARES]
        cells = [_difference(*pair, chosen) for pair in zip(ours, values, strict=True)]
        rows.append(f"| {title} | {' | '.join(cells)} |")
    return [*_head("`size` minus"), *rows, ""]


def _at(record: dict[str, Any], method: str, share: int) -> dict[str, Any]:
    """Returns the result of a method at a size."""
    if method != "baseline":
        return record["results"].get(key(method, share), {})
    few = [record["results"][f"baseline {bits}"] for bits in BITS]
    fitting = [each for each in few if each["bytes"] * share <= record["about"]["bytes"]]
    return max(fitting, key=lambda each: each["bytes"], default={"reason": "2 bits take more"})


def _part(record: dict[str, Any], name: str) -> str:
    """Returns the size of a result as a part of the baseline's, for example 1/4.0."""
    return f"1/{record['about']['bytes'] / record['results'][name]['bytes']:.1f}"


def _cell(result: dict[str, Any], chosen: np.ndarray, stage: str = "recalibrated") -> str:
    if "reason" in result:
        return CANNOT
    return _text(mean_interval(np.asarray(result[stage])[chosen].tolist())) if stage in result else "-"


def _difference(values: list[float] | None, others: list[float] | None, chosen: np.ndarray) -> str:
    if values is None or others is None:
        return "-"
    found = paired_interval(np.asarray(values)[chosen].tolist(), np.asarray(others)[chosen].tolist())
    text = f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    return f"**{text}**" if found.excludes_zero else text


def _text(interval: Interval) -> str:
    return f"{interval.mean:.4f} ({interval.low:.3f} to {interval.high:.3f})"


def _head(first: str) -> list[str]:
    return [f"| {first} | {' | '.join(f'1/{share}' for share in SHARES)} |", "|---" * (len(SHARES) + 1) + "|"]
