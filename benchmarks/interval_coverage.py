"""How often a 95 % interval holds the true mean, where slices of a patient are alike: by simulation.

Patients of 5 to 40 slices are drawn again and again from a population whose mean is known. Beside the intervals of the
project stand the percentile bootstrap over patients, and that over images.

    python benchmarks/interval_coverage.py    # some minutes: results/interval_coverage.json, docs/intervals.md
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from analysis.intervals import CHANGE, mean_interval
from benchmarks.pages import write_result, write_section

PATIENTS = (10, 15, 20, 30, 60)
DRAWS = 500
_POPULATION = 200_000  # patients that the true mean is computed from
_RESAMPLES = 1999  # of the percentile bootstrap
Values = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, NDArray[np.intp]], Values]


def alike(rng: np.random.Generator, patients: int, of_slice: NDArray[np.intp]) -> Values:
    """Dice with a mean of 0.78, a standard deviation of 0.15 between patients and 0.11 within one."""
    logits = 1.5 + rng.normal(0, 1, patients)[of_slice] + rng.normal(0, 0.7, len(of_slice))
    return 1 / (1 + np.exp(-logits))


def missed(rng: np.random.Generator, patients: int, of_slice: NDArray[np.intp]) -> Values:
    """The same, but in a tenth of the patients nothing is found."""
    return alike(rng, patients, of_slice) * (rng.random(patients) > 0.1)[of_slice]


def changed(rng: np.random.Generator, patients: int, of_slice: NDArray[np.intp]) -> Values:
    """Differences of two networks: -0.01, with heavy tails over patients (t with 4 degrees of freedom)."""
    return -0.01 + 0.02 * rng.standard_t(4, patients)[of_slice] + rng.normal(0, 0.03, len(of_slice))


def lost(rng: np.random.Generator, patients: int, of_slice: NDArray[np.intp]) -> Values:
    """Differences of two networks: losses of 0.02 in the mean, large ones in few patients (exponential)."""
    return -rng.exponential(0.02, patients)[of_slice] + rng.normal(0, 0.02, len(of_slice))


KINDS: dict[str, Draw] = {
    "Dice": alike,
    "Dice, a tenth of the patients missed": missed,
    "change of Dice, heavy tails": changed,
    "loss of Dice in few patients": lost,
}


def main() -> None:
    """Runs the simulation and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    result = {
        "draws": arguments.draws,
        "coverage": {
            kind: {str(patients): coverage(draw, patients, arguments.draws) for patients in PATIENTS}
            for kind, draw in KINDS.items()
        },
    }
    print(json.dumps(result, indent=2))
    if not arguments.dry_run:
        write_result("interval_coverage", result)
        write_section("intervals.md", "interval_coverage", table(result))


def coverage(draw: Draw, patients: int, draws: int) -> dict[str, float]:
    """Returns the share of intervals that hold the true mean, a way of making them each."""
    truth = float(draw(*_people(np.random.default_rng(0), _POPULATION)).mean())
    rng, held = np.random.default_rng(patients), []
    for number in range(draws):
        people = _people(rng, patients)
        values, names = draw(*people), people[2].astype(str).tolist()
        ours = mean_interval(values.tolist(), names, CHANGE, seed=number)
        bootstraps = (_percentile(values, units, rng) for units in (people[2], np.arange(len(values))))
        ends = ((ours.low, ours.high), *bootstraps)
        held.append([low <= truth <= high for low, high in ends])
    return dict(zip(("patients", "percentile", "images"), np.mean(held, axis=0).tolist(), strict=True))


def table(result: dict[str, Any]) -> list[str]:
    """Returns the page's table: share held over patients, by the percentile bootstrap over them, over images."""
    lines = [
        f"Share of {result['draws']} intervals that hold the true mean, in percent: over patients (percentile "
        "bootstrap over patients, over images). 95 is what they say.",
        "",
        f"| patients | {' | '.join(str(patients) for patients in PATIENTS)} |",
        f"|---|{'---|' * len(PATIENTS)}",
    ]
    for kind, found in result["coverage"].items():
        cells = (
            f"{100 * each['patients']:.0f} ({100 * each['percentile']:.0f}, {100 * each['images']:.0f})"
            for each in found.values()
        )
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines


def _people(rng: np.random.Generator, patients: int) -> tuple[np.random.Generator, int, NDArray[np.intp]]:
    """Draws how many slices patients have; returns what a `Draw` takes, last the patient of each slice."""
    return rng, patients, np.repeat(np.arange(patients), rng.integers(5, 41, patients))


def _percentile(values: Values, units: NDArray[np.intp], rng: np.random.Generator) -> tuple[float, float]:
    sums, sizes = np.bincount(units, values), np.bincount(units)
    drawn = rng.integers(len(sums), size=(_RESAMPLES, len(sums)))
    low, high = np.quantile(sums[drawn].sum(1) / sizes[drawn].sum(1), (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    main()
