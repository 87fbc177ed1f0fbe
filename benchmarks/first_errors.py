"""Times how long a mistake on the command line takes to be told.

Each command is started several times, in turns with the others and with a Python that does nothing; medians count.
Everything that is wrong lies in a temporary folder, and no command gets as far as doing work.

    python benchmarks/first_errors.py
"""

from __future__ import annotations

import argparse
import json
import os
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

# What is shown: what is typed, with {0} for the folder, and the status it ends with.
COMMANDS = {
    "`--help`": ("--help", 0),
    "a flag that there is not": ("--no_such_flag", 2),
    "a value out of range": ("--epochs 0", 2),
    "`--config` missing": ("--config {0}/none.yaml", 2),
    "`--data_root` missing": ("--data_root {0}/none", 2),
    "`--data_root` empty": ("--data_root {0}/empty", 2),
    "`--data_root` of no known layout": ("--data_root {0}/notes", 2),
    "`--checkpoint` missing": ("--checkpoint {0}/none.pth", 2),
    "`--checkpoint` of another format": ("--checkpoint {0}/text.safetensors", 2),
    "`--out_dir` below a file": ("--out_dir {0}/text.safetensors/out", 2),
}
NOTHING = "(`python -c pass`)"


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments.rounds)
    print(json.dumps(result, indent=2))
    if not arguments.dry_run:
        write_result("first_errors", result)
        write_section("performance.md", "first_errors", table(result))


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """Returns the median seconds of each command."""
    for name in ("empty", "notes"):
        (folder / name).mkdir()
    (folder / "notes" / "read_me.txt").write_text("no data")
    (folder / "text.safetensors").write_text("no weights")
    seconds: dict[str, list[float]] = {name: [] for name in (NOTHING, *COMMANDS)}
    for _ in range(rounds):
        seconds[NOTHING].append(timed([sys.executable, "-c", "pass"], folder, 0))
        for name, (typed, status) in COMMANDS.items():
            command = [sys.executable, str(ROOT / "run_pipeline.py"), *typed.format(folder).split()]
            seconds[name].append(timed(command, folder, status))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    load = os.getloadavg()[0]
    return {**machine(), "rounds": rounds, "load": load, "cores": os.cpu_count(), "seconds": medians}


def timed(command: list[str], folder: Path, status: int) -> float:
    """Returns the wall seconds of a command.

    Raises:
        RuntimeError: It ends with another status, so that it was something else that was timed.
    """
    environment = os.environ | {"ZENML_CONFIG_PATH": str(folder / "zenml")}
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode != status:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}, expected {status}: {done.stderr}")
    return seconds


def table(result: dict[str, Any]) -> list[str]:
    """Returns the section of the documentation."""
    rows = [f"| {name} | {seconds:.2f} |" for name, seconds in result["seconds"].items()]
    about = (
        f"{result['device']}, medians of {result['rounds']} in turns; the machine's load was {result['load']:.0f} on "
        f"{result['cores']} cores."
    )
    return [about, "", "| what is wrong | seconds until the message |", "|---|---:|", *rows]


if __name__ == "__main__":
    main()
