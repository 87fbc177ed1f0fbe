"""Which figures of a variant MLflow gets, and in which section of a run's page.

MLflow draws a chart for each metric; a name with a slash belongs to a section, the others to the one that MLflow calls
"Model metrics". All figures of a variant would be some eighty charts: what nobody compares runs by is in `results.csv`,
which lies beside the report.
"""

from __future__ import annotations

from collections.abc import Mapping

TIME_RATIO = "time_ratio"
# What has another name in MLflow; without a section: what networks are compared by first.
_RENAMED = {
    "latency_ratio": TIME_RATIO,
    "recall_images": "lesions/recall_images",
    "false_alarm_images": "lesions/false_alarm_images",
    "iou_lesion": "detail/iou_lesion",
    "precision": "detail/precision",
    "recall": "detail/recall",
    "hausdorff95_px": "detail/hausdorff95_px",
    "dice_patient": "detail/dice_patient",
    "dice_before_recovery": "detail/dice_before_recovery",
    "dice_lesion_before_recovery": "detail/dice_lesion_before_recovery",
}
_KEPT = (
    *("dice", "dice_lesion", "iou", "pixel_accuracy", "dice_global", "dice_retained"),
    *("params", "size_mb", "macs", "latency_ms", "param_reduction_pct", "size_reduction_pct"),
    *("change/dice_lesion", "change/dice_lesion_low", "change/dice_lesion_high"),
    *("ci95/dice_lesion_low", "ci95/dice_lesion_high"),
    *("lesions/dice_small", "lesions/dice_medium", "lesions/dice_large"),
    "valid/dice_lesion",
)
_NAMES = _RENAMED | {name: name for name in _KEPT}
_OF_CLASSES = ("classes/dice_", "classes/iou_")  # Dice and IoU of each class
_OVER_OTHERS = "equal_size/dice_lesion_over_"  # at the same size, how much better than another method
_ENDS = ("_low", "_high")  # of intervals


def run_figures(metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns the figures that a run gets in MLflow, by the names that they have there.

    Args:
        metrics: All figures of a variant, as `reporting.summary.run_metrics` names them.
    """
    placed = {_NAMES[name]: value for name, value in metrics.items() if name in _NAMES}
    return placed | {name: value for name, value in metrics.items() if _is_of_several(name)}


def _is_of_several(name: str) -> bool:
    """Whether a figure is one of those that each class, or each other method, has."""
    return name.startswith(_OF_CLASSES) or (name.startswith(_OVER_OTHERS) and not name.endswith(_ENDS))
