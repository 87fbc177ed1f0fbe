"""What is to be known of the networks as they were trained, before anything is believed that is compared with them."""

from __future__ import annotations

from analysis.comparison import Comparison
from analysis.ranking import JUDGED, SPLITS, is_useful, metric
from models.evaluation.results import EvaluationResult

_WEAK_DICE = 0.3  # below, a baseline finds so little that keeping its Dice means nothing
_MANY_ALARMS = (
    0.5  # of the images without a lesion: above, Dice on lesions alone says little of what is seen in practice
)
_PREPARE = (
    "check that it gets images as it was trained on (--image_size, --channels, --interpolation, input.mean, "
    "input.std), or give a better checkpoint,"
)


def useless(comparison: Comparison, baseline: EvaluationResult) -> str:
    """Returns that the baseline is useless, and what to do."""
    worst = min(metric(baseline, JUDGED, split) for split in SPLITS)
    found = f"almost nothing (Dice {worst:.3f})" if worst > 0 else "nothing"
    return f"The baseline finds {found}: {_improve(comparison)} before comparing what compression keeps of it."


def _improve(comparison: Comparison) -> str:
    """Returns what makes a baseline better; of one that was trained elsewhere, images as it knows them may do."""
    return _PREPARE if comparison.imported else "train it longer"


def weak(comparison: Comparison, baseline: EvaluationResult) -> str:
    """Returns what is to be known of a baseline before anything is believed that is compared with it."""
    full, alarms = metric(baseline, JUDGED), metric(baseline, "false_alarm_images")
    low = f"The baseline has Dice {full:.3f} alone: {_improve(comparison)} before believing this. "
    low = low if full < _WEAK_DICE else ""
    if not alarms > _MANY_ALARMS:
        return low
    return f"{low}The baseline marks something in {100 * alarms:.0f} % of the test images without a lesion. "


def failed(comparison: Comparison, baseline: EvaluationResult) -> str:
    """Returns which further networks are useless as they were trained, for whatever reason."""
    failed = [each for each in comparison.dense if each is not baseline and not is_useful(each, baseline)]
    if not failed:
        return ""
    named = ", ".join(f"{each.name} (Dice {metric(each, JUDGED):.3f})" for each in failed)
    return f"Too little is found to be compressed by {named}: train longer, or leave it out. "
