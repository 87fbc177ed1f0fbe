"""How time and bytes grow with images, image size, filters and variants: exponents of power laws, measured small.

Each stage's library function runs at four sizes of one quantity, the others fixed; the exponent is the slope of a line
through the logarithms. Time is CPU time of the process on one thread, the least of the rounds, so that other work on
the machine says little; sizes take turns within a round. Bytes are what a stage's result takes in the store.

    python benchmarks/scaling.py             # benchmarks/results/scaling.json and the table of docs/scaling.md
    python benchmarks/scaling.py --dry_run   # prints, and writes nothing
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.pages import machine, write_result, write_section  # noqa: E402
from benchmarks.scaling_stages import STAGES, Size, Stage  # noqa: E402

VALUES: dict[str, tuple[int, ...]] = {
    "images": (32, 64, 128, 256),
    "side": (32, 64, 128, 256),
    "filters": (4, 8, 16, 32),
    "variants": (4, 8, 16, 32),
}
TITLES = {"images": "images", "side": "height = width", "filters": "filters", "variants": "variants"}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=list(STAGES))
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        stages = {}
        for name in arguments.stages:
            stages[name] = measure(STAGES[name], VALUES, arguments.rounds, Path(folder))
            print(name, file=sys.stderr, flush=True)
    result = {**machine(), "fixed": dataclasses.asdict(Size()), "stages": stages}
    print(json.dumps(result, indent=2))
    if not arguments.dry_run:
        write_result("scaling", result)
        write_section("scaling.md", "scaling", table(result))


def measure(stage: Stage, values: dict[str, tuple[int, ...]], rounds: int, folder: Path) -> dict[str, Any]:
    """Returns, for each quantity that a stage depends on, sizes, seconds, bytes and both exponents."""
    found = {}
    for quantity in stage.grows_with:
        sizes = [dataclasses.replace(Size(), **{quantity: value}) for value in values[quantity]]
        works = [stage.prepare(size, folder) for size in sizes]
        seconds, stored = _alternating(works, rounds)
        found[quantity] = {
            "values": list(values[quantity]),
            "cpu_seconds": seconds,
            "bytes": stored,
            "time_exponent": exponent(values[quantity], seconds),
            "last_time_exponent": exponent(values[quantity][-2:], seconds[-2:]),
            "bytes_exponent": exponent(values[quantity], stored) if all(stored) else None,
        }
    return found


def exponent(values: tuple[int, ...], results: list[float] | list[int]) -> float:
    """Returns p of the power law result = c value^p that fits best in logarithms."""
    return float(np.polyfit(np.log(values), np.log(results), 1)[0])


def _alternating(works: list[Callable[[], int]], rounds: int) -> tuple[list[float], list[int]]:
    """Runs all functions in turn, several times; returns the minimum CPU seconds and the bytes of each."""
    least, stored = [float("inf")] * len(works), [0] * len(works)
    works[0]()  # loads libraries
    for _ in range(rounds):
        for index, work in enumerate(works):
            start = time.process_time()
            stored[index] = work()
            least[index] = min(least[index], time.process_time() - start)
    return least, stored


def table(result: dict[str, Any]) -> list[str]:
    """Returns the exponents as Markdown: time, and bytes of the stored result where there is one."""
    fixed = ", ".join(f"{value} {TITLES[name]}" for name, value in result["fixed"].items())
    lines = [
        f"Exponents p of growth with n^p: of time over all sizes, of time between the two largest (where fixed costs "
        f"count least), of stored bytes where a stage stores much; measured on {result['device']} from four sizes each "
        f"({'; '.join(f'{TITLES[name]} {values[0]} to {values[-1]}' for name, values in VALUES.items())}), the other "
        f"quantities at {fixed}. Empty: it does not depend on it.",
        "",
        f"| stage | {' | '.join(TITLES.values())} |",
        "|---|" + "---|" * len(TITLES),
    ]
    for name, found in result["stages"].items():
        cells = [_cell(found[quantity]) if quantity in found else "" for quantity in TITLES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cell(found: dict[str, Any]) -> str:
    times = f"{found['time_exponent']:.2f}, {found['last_time_exponent']:.2f}"
    return times if found["bytes_exponent"] is None else f"{times}, {round(found['bytes_exponent'], 2) + 0.0:.2f}"


if __name__ == "__main__":
    main()
