"""How far two timings of the same networks agree while another process keeps a core busy.

The networks are those of a finished run, `make demo` for example. Each timing does what the step `time_networks` does,
in a process of its own; one more is done while nothing else runs. What must agree are the ratios to the baseline.

    python benchmarks/timing_agreement.py    # after make demo: results/timing_agreement.json, docs/performance.md
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as run_pipeline.py sets it: threads that spin take the other core

from benchmarks.pages import machine, write_result, write_section  # noqa: E402
from models.evaluation.latency import time_in_turns  # noqa: E402
from models.evaluation.results import Latency  # noqa: E402
from models.variant import Variant  # noqa: E402

TOLERATED = 0.1
TIMINGS = {"alone": False, "busy": True, "busy_again": True}  # and whether a core is kept busy meanwhile


def main() -> int:
    """Runs the benchmark and writes its results; returns 1 where the two timings on a busy machine do not agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=Path, default=ROOT / "artifacts" / "demo" / "networks")
    parser.add_argument("--input_shape", type=int, nargs=3, default=(1, 64, 64), metavar=("C", "H", "W"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    result = measure(arguments.networks, tuple(arguments.input_shape), arguments.threads)
    print(json.dumps(result, indent=2))
    if not arguments.dry_run:
        write_result("timing_agreement", result)
        write_section("performance.md", "timing_agreement", table(result))
    return int(result["largest_disagreement"] > TOLERATED)


def measure(folder: Path, input_shape: tuple[int, int, int], threads: int, seconds: float = 2.0) -> dict[str, Any]:
    """Returns the latencies of every timing, and the largest disagreement of the two on a busy machine, as a share."""
    timings = {}
    for name, busy in TIMINGS.items():
        with kept_busy() if busy else contextlib.nullcontext():
            timings[name] = in_own_process(folder, input_shape, seconds, threads)
    first, second = (timings[name] for name, busy in TIMINGS.items() if busy)
    return {
        **machine(),
        "threads": threads,
        "input_shape": input_shape,
        "timings": {
            timing: {name: dataclasses.asdict(latency) for name, latency in found.items()}
            for timing, found in timings.items()
        },
        "largest_disagreement": max(disagreement(first[name].ratio, second[name].ratio) for name in first),
    }


def in_own_process(folder: Path, input_shape: tuple[int, int, int], seconds: float, threads: int) -> dict[str, Latency]:
    """Returns what `timed` does, from a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(timed, folder, input_shape, seconds, threads).result()


def timed(folder: Path, input_shape: tuple[int, int, int], seconds: float, threads: int) -> dict[str, Latency]:
    """Returns the latencies of the networks in a folder, which has one of each variant."""
    variants = [Variant.load(file.parent) for file in sorted(folder.glob("*/network.json"))]
    variants.sort(key=lambda variant: variant.spec.method != "baseline")
    networks = {variant.name: variant.network for variant in variants}
    return time_in_turns(networks, input_shape, "cpu", seconds, threads)


@contextlib.contextmanager
def kept_busy() -> Iterator[None]:
    """Keeps a core busy meanwhile."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def disagreement(ratio: float, other: float) -> float:
    """Returns how much larger the larger of two ratios is, as a share."""
    return max(ratio / other, other / ratio) - 1


def table(result: dict[str, Any]) -> list[str]:
    """Returns the section of the documentation."""
    timings = result["timings"]
    lines = [
        f"{result['device']}, threads: {result['threads']}, torch {result['torch']}: time relative to the baseline's, "
        "with its 95 % interval.",
        "",
        "| network | nothing else runs | a core is busy | again | the last two differ by |",
        "|---|---|---|---|---|",
    ]
    for name in timings["alone"]:
        cells = [shown(timings[timing][name]) for timing in TIMINGS]
        ratios: Sequence[float] = [timings[timing][name]["ratio"] for timing, busy in TIMINGS.items() if busy]
        lines.append(f"| {name} | {' | '.join(cells)} | {100 * disagreement(*ratios):.1f} % |")
    times = ", ".join(f"{timings[timing]['baseline']['ms']:.2f}" for timing in TIMINGS)
    lines += ["", f"The baseline took {times} ms."]
    return lines


def shown(latency: dict[str, float]) -> str:
    """Returns for example `0.52 (0.51 to 0.54)`."""
    return f"{latency['ratio']:.2f} ({latency['low']:.2f} to {latency['high']:.2f})"


if __name__ == "__main__":
    sys.exit(main())
