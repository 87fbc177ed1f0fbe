"""What the page's scripts read: the variants, the test images and their masks, as JSON inside the page."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from analysis.comparison import Comparison
from analysis.examples import in_question
from analysis.intervals import Interval
from analysis.ranking import JUDGED
from analysis.table_rows import VariantRow, variant_rows
from models.evaluation.results import EvaluationResult
from reporting.html.failures import image_name
from reporting.html.opening import ALPHAS, COLORS
from reporting.label_colors import LABEL_COLORS
from reporting.plots.series import SERIES, long_label, series_name
from reporting.summary import finite

_DIGITS = 4  # of values of single images
_SYMBOLS = {  # Matplotlib's markers by Plotly's names
    "*": "star",
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "v": "triangle-down",
    "<": "triangle-left",
    ">": "triangle-right",
    "D": "diamond",
    "d": "diamond-tall",
    "P": "cross",
    "X": "x",
    "p": "pentagon",
    "h": "hexagon",
    "H": "hexagon2",
    "8": "octagon",
}


def data_of(
    comparison: Comparison, file_names: Sequence[str], opening: int, rows: Sequence[int], groups: Sequence[str]
) -> dict[str, Any]:
    """Returns the numbers that charts, image browser and tables are made from.

    Of images and patients it holds those that the page shows, so that a page does not grow with the data set.

    Args:
        comparison: The variants.
        file_names: Of the test images, in order; may be shorter where they are not known.
        opening: The image that is shown first.
        rows: The images of the split that the page holds, ascending.
        groups: The patients (volumes, series) that the page lists.
    """
    pairs = zip(comparison.results, variant_rows(comparison), strict=True)
    shown, names = in_question(comparison), [result.name for result in comparison.results]
    baseline = comparison.baseline
    areas = [] if baseline is None else baseline.per_image.get("lesion_px", [])
    group_of = next((result.groups for result in comparison.results if result.groups), [])
    small = next((each.largest_px for each in comparison.lesion_groups if each.size == "small"), None)
    return finite(
        {
            "variants": [_variant(result, row, comparison) | _held(result, rows, groups) for result, row in pairs],
            "baseline": names.index(baseline.name) if baseline is not None else None,
            "chosen": names.index(shown.name) if shown is not None else None,
            "recommended": comparison.recommended is not None,
            "tolerated": comparison.tolerated_loss,
            "useless": comparison.is_useless,
            "machine": comparison.machine.title if comparison.machine else None,
            "over": comparison.interval_name,
            "noun": comparison.group_noun,
            "rows": list(rows),
            "images": [
                {
                    "name": image_name(file_names, row),
                    "px": areas[row] if row < len(areas) else None,
                    "group": group_of[row] if row < len(group_of) else None,
                }
                for row in rows
            ],
            "small_px": small,
            "lesions": [
                {"size": each.size, "from": each.smallest_px, "to": each.largest_px, "images": len(each.rows)}
                for each in comparison.lesion_groups
            ],
            "opening": opening,
            "colors": COLORS,
            "alphas": ALPHAS,
            "label_colors": LABEL_COLORS,
        }
    )


def as_json(data: Any) -> Markup:
    """Returns JSON that may stand in an element `script`: nothing in it can end the element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 - no tag is left


def _variant(result: EvaluationResult, row: VariantRow, comparison: Comparison) -> dict[str, Any]:
    series, latency = SERIES[series_name(result)], result.latency
    return {
        "name": result.name,
        "title": long_label(result),
        "method": series.title,
        "training": result.spec.training,
        "color": series.color,
        "symbol": _SYMBOLS[series.marker] + ("" if series.filled else "-open"),
        "params": row.params,
        "bytes": result.cost.size_bytes,
        "macs": row.macs,
        "time": None
        if latency is None
        else {"low": latency.low, "high": latency.high, "ratio": latency.judged}
        | {"ms": latency.ms, "word": row.time_word},
        "dice": _interval(row.intervals.get(JUDGED), row.metrics[JUDGED]),
        "all": _interval(row.intervals.get("dice"), row.metrics["dice"]),
        "change": _interval(row.judged_change, None),
        "found": row.metrics["recall_images"],
        "alarms": row.metrics["false_alarm_images"],
        "front": row.on_front,
        "same_as": comparison.same_networks.get(result.name),
        "sizes": {size: _interval(interval, None) for size, interval in row.by_lesion.items()},
    }


def _held(result: EvaluationResult, rows: Sequence[int], groups: Sequence[str]) -> dict[str, Any]:
    """Returns a variant's Dice of the images and patients that the page holds; None for an image it is not known of."""
    dice = result.per_image.get("dice", [])
    return {
        "image_dice": [round(dice[row], _DIGITS) if row < len(dice) else None for row in rows],
        "groups": {name: result.per_group[name] for name in groups if name in result.per_group},
    }


def _interval(interval: Interval | None, mean: float | None) -> dict[str, float | None] | None:
    """Returns a mean with its ends, which are None where they say nothing; None where the mean is not known."""
    if interval is None:
        return None if mean is None or not math.isfinite(mean) else {"mean": mean, "low": None, "high": None}
    ends = (None, None) if interval.too_few else (interval.low, interval.high)
    return {"mean": interval.mean, "low": ends[0], "high": ends[1]}
