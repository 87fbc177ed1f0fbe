"""Times the pipeline around the work: a run in which every step is cached, and one tau more.

Compared with a process that only imports torch, zenml and mlflow. Both run in turn, and medians count. Everything
happens in a temporary copy of the project with ZenML and MLflow stores of its own, on tiny data and a tiny network, so
that the steps themselves cost nothing: the reference's six variants, and twice as many to see what one costs.

Beside wall time there is the processor time of each process, which other work on the machine disturbs less.

    python benchmarks/overhead.py
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.pages import machine, write_result, write_section  # noqa: E402
from tests.pipelines.workshop import Workshop  # noqa: E402

IMPORTS = (sys.executable, "-c", "import torch, zenml, mlflow")
SIX = ("--svd_ranks", "1,2,3", "--arsvd_taus", "0.5,0.6,0.7")
TWELVE = ("--svd_ranks", "1,2,3,4,5,6", "--arsvd_taus", "0.5,0.6,0.7,0.8,0.9,0.95")
MORE_TAUS = ("0.51", "0.52", "0.53")
_FINISHED = re.compile(r"^(?P<step>\w+_arsvd_tau_[\d.]+)\s+(?:(?P<minutes>\d+)m)?(?P<seconds>[\d.]+)s$", re.MULTILINE)


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Workshop(Path(folder)), arguments.rounds)
    print(json.dumps(result, indent=2))
    if not arguments.dry_run:
        write_result("overhead", result)
        write_section("performance.md", "overhead", table(result))


def measure(workshop: Workshop, rounds: int) -> dict[str, Any]:
    """Returns wall and processor seconds."""
    for variants in (TWELVE, SIX):
        workshop.run(*variants)  # computes; the last one leaves the pictures of six
    times: dict[str, list[tuple[float, float]]] = {"imports": [], "cached": []}
    for _ in range(rounds):
        times["imports"].append(timed(workshop, *IMPORTS)[:2])
        times["cached"].append(timed(workshop, *run_of(workshop, SIX))[:2])
    workshop.run(*TWELVE)
    times["cached_twelve"] = [timed(workshop, *run_of(workshop, TWELVE))[:2] for _ in range(rounds)]
    more = [one_more(workshop, number) for number in range(1, min(rounds, len(MORE_TAUS)) + 1)]
    seconds = {name: medians(values) for name, values in times.items()}
    per_variant = {kind: (seconds["cached_twelve"][kind] - seconds["cached"][kind]) / 6 for kind in ("wall", "cpu")}
    return {
        **machine(),
        "seconds": seconds,
        "times_the_imports": {kind: seconds["cached"][kind] / seconds["imports"][kind] for kind in ("wall", "cpu")},
        "one_cached_variant_s": per_variant,
        "one_tau_more_s": {
            "its_own_steps": statistics.median(own for _, own in more),
            "beyond": statistics.median(wall - own for wall, own in more) - seconds["cached"]["wall"],
        },
    }


def run_of(workshop: Workshop, variants: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the command of a run."""
    where = workshop.arguments
    return (sys.executable, "run_pipeline.py", *where, *variants)


def one_more(workshop: Workshop, number: int) -> tuple[float, float]:
    """Returns the wall seconds of a run with one tau more than the last, and those of that variant's own steps."""
    taus = ",".join([SIX[-1], *MORE_TAUS[:number]])
    wall, _, messages = timed(workshop, *run_of(workshop, (*SIX[:-1], taus)))
    found = {
        each["step"]: 60 * int(each["minutes"] or 0) + float(each["seconds"]) for each in _FINISHED.finditer(messages)
    }
    if len(found) != 2:
        raise RuntimeError(f"a run with one tau more ran {sorted(found)}; its compression and evaluation were expected")
    return wall, sum(found.values())


def timed(workshop: Workshop, *command: str) -> tuple[float, float, str]:
    """Returns wall seconds, processor seconds and messages of a process and those that it starts."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = workshop.call(*command)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.status != 0:
        raise subprocess.CalledProcessError(done.status, command, done.stdout, done.stderr)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stderr


def medians(values: list[tuple[float, float]]) -> dict[str, float]:
    """Returns the medians of wall and processor seconds."""
    wall, cpu = (statistics.median(column) for column in zip(*values, strict=True))
    return {"wall": wall, "cpu": cpu}


def table(result: dict[str, Any]) -> list[str]:
    """Returns the section of the documentation."""
    seconds, ratio, more = result["seconds"], result["times_the_imports"], result["one_tau_more_s"]
    names = {
        "imports": "`import torch, zenml, mlflow`",
        "cached": "a cached run, baseline and 6 variants",
        "cached_twelve": "a cached run, baseline and 12 variants",
    }
    lines = [f"{result['device']}, seconds, medians of runs in turn.", "", "| | wall | processor |", "|---|---|---|"]
    lines += [f"| {title} | {seconds[key]['wall']:.1f} | {seconds[key]['cpu']:.1f} |" for key, title in names.items()]
    return [
        *lines,
        "",
        f"A cached run takes {ratio['wall']:.1f} times the imports (processor time: {ratio['cpu']:.1f}); a cached "
        f"variant adds {result['one_cached_variant_s']['wall']:.2f} s. One tau more takes its own compression "
        f"and evaluation ({more['its_own_steps']:.1f} s) and {more['beyond']:.1f} s.",
    ]


if __name__ == "__main__":
    main()
