"""How often a 95 % interval over trainings holds the true mean, where trainings and images differ: by simulation.

Trainings are drawn again and again from a population whose mean is known, all judged on the same images. Beside the
interval of the project stand Student's t over the means of the trainings, and the interval of one training.

    python benchmarks/training_coverage.py    # a minute: results/training_coverage.json, docs/trainings.md
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from analysis.intervals import CHANGE, mean_interval
from analysis.over_trainings import training_interval
from benchmarks.pages import write_result, write_section

TRAININGS = (2, 3, 5, 10)
SPREADS = (0.0, 0.01, 0.03, 0.1)  # standard deviation of Dice between trainings
IMAGES = 80
DRAWS = 1000
_MEAN, _BETWEEN_IMAGES, _WITHIN = 0.7, 0.2, 0.08
_WAYS = ("both", "trainings", "images")


def main() -> None:
    """Runs the simulation and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    result = {
        "draws": arguments.draws,
        "coverage": {
            str(spread): {str(number): coverage(spread, number, arguments.draws) for number in TRAININGS}
            for spread in SPREADS
        },
    }
    print(json.dumps(result, indent=2))
    if not arguments.dry_run:
        write_result("training_coverage", result)
        write_section("trainings.md", "training_coverage", table(result))


def coverage(spread: float, trainings: int, draws: int) -> dict[str, float]:
    """Returns the share of intervals that hold the true mean, a way of making them each."""
    rng, held = np.random.default_rng(trainings), []
    for number in range(draws):
        of_training = spread * rng.normal(size=(trainings, 1))
        dice = _MEAN + of_training + _BETWEEN_IMAGES * rng.normal(size=IMAGES)
        dice = dice + _WITHIN * rng.normal(size=(trainings, IMAGES))
        both, images = training_interval(dice.tolist()), mean_interval(dice[0].tolist(), (), CHANGE, seed=number)
        ends = ((both.low, both.high), _over_means(dice), (images.low, images.high))
        held.append([low <= _MEAN <= high for low, high in ends])
    return dict(zip(_WAYS, np.mean(held, axis=0).tolist(), strict=True))


def table(result: dict[str, Any]) -> list[str]:
    """Returns the page's table: share held over both, by Student's t over trainings, by one training."""
    lines = [
        f"Share of {result['draws']} intervals that hold the true mean, in percent, with {IMAGES} images: over "
        "trainings and images (Student's t over the trainings' means alone, the interval of one training). 95 is what "
        "they say.",
        "",
        f"| standard deviation between trainings | {' | '.join(f'{number} trainings' for number in TRAININGS)} |",
        f"|---|{'---|' * len(TRAININGS)}",
    ]
    for spread, found in result["coverage"].items():
        cells = (
            f"{100 * each['both']:.0f} ({100 * each['trainings']:.0f}, {100 * each['images']:.0f})"
            for each in found.values()
        )
        lines.append(f"| {float(spread):g} | {' | '.join(cells)} |")
    return lines


def _over_means(dice: NDArray[np.float64]) -> tuple[float, float]:
    means = dice.mean(axis=1)
    half = float(stdtrit(len(means) - 1, 0.975)) * float(means.std(ddof=1)) / math.sqrt(len(means))
    return float(means.mean() - half), float(means.mean() + half)


if __name__ == "__main__":
    main()
