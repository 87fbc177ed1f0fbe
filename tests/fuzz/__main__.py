"""Runs the fuzzer; exit status 1 where it found something."""

import argparse
import math
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.fuzz.running import Tally, Worker, fuzz


def main(arguments: list[str] | None = None) -> int:
    """Runs both parts, or one case again.

    Returns:
        1 if there is a finding, else 0.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="for damaged annotation files")
    parser.add_argument("--folders", type=int, default=500, help="number of damaged folders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", nargs=2, metavar=("PART", "NUMBER"), help="repeat one case")
    parser.add_argument("--keep", type=Path, help="where folders of findings are kept (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=chosen.keep))
    worker, tally, first = Worker(), Tally(), chosen.seed * 10**9
    try:
        if chosen.case:
            fuzz(chosen.case[0], [int(chosen.case[1])], math.inf, folder, worker, tally)
        else:
            fuzz("annotations", range(first, first + 10**8), 60 * chosen.minutes, folder, worker, tally)
            fuzz("folders", range(first, first + chosen.folders), math.inf, folder, worker, tally)
    finally:
        worker.close()
        tally.show(Console(width=110))
    if not tally.findings:
        folder.rmdir()
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
