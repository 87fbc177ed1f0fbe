"""What Dice on images with a lesion does not show: a network that finds something where there is nothing."""

from __future__ import annotations

from analysis.comparison import Comparison
from analysis.ranking import JUDGED, metric
from models.evaluation.results import EvaluationResult

_ALARMS = "false_alarm_images"


def false_alarms(comparison: Comparison, chosen: EvaluationResult) -> str:
    """Returns by how much Dice over all images falls, where false alarms make it fall more than is tolerated.

    An image without a lesion counts 1 where nothing is found in it, else 0, so that each false alarm more takes its
    share of the mean over all images, and nothing of that over images with a lesion.

    Args:
        comparison: All variants.
        chosen: The recommended network.

    Returns:
        A sentence; empty where that Dice falls by no more than is tolerated, or for another reason.
    """
    baseline = comparison.baseline
    if baseline is None or not metric(chosen, _ALARMS) > metric(baseline, _ALARMS):
        return ""
    fall = metric(baseline, "dice") - metric(chosen, "dice")
    if not (fall > comparison.tolerated_loss and fall > metric(baseline, JUDGED) - metric(chosen, JUDGED)):
        return ""
    ours, full = (100 * metric(result, _ALARMS) for result in (chosen, baseline))
    return (
        f" Over all images its Dice falls by {fall:.3f}, by false alarms: it marks something in {ours:.3g} % of the "
        f"test images without a lesion, the baseline in {full:.3g} %."
    )
