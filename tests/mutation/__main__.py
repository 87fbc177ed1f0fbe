"""`python -m tests.mutation --seed 1 --mutations 60 --folders torch_lowrank/ranks analysis models/evaluation`."""

import argparse
import dataclasses
import difflib
import json
import queue
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.reach import nearest, reaching
from tests.mutation.running import BROKEN, copied, load_libraries, run_tests

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ["torch_lowrank/ranks", "analysis", "models/evaluation"]
PATIENCE = 4  # times as long as without a change
SECONDS = 60.0  # more than that


@dataclasses.dataclass
class Verdict:
    """What became of a mutant: the test that failed, `timeout`, or None where it has survived."""

    mutant: Mutant
    caught_by: str | None
    seconds: float
    diff: str


class Unchanged:
    """What is known of test files before anything is changed: the tests that fail anyway, and how long they take."""

    def __init__(self) -> None:
        self.failing: list[str] = []
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def patience(self, copy: Path, tests: list[str]) -> float:
        """Returns the seconds to wait for these test files, after running those that have not been asked for before."""
        with self._lock:
            new = [test for test in tests if test not in self._seconds]
            if new:
                ended = run_tests(copy, new, [], 3600, first=False)
                if ended.timed_out or any(test.startswith(BROKEN) for test in ended.failed):
                    raise RuntimeError(f"without a change, {ended.failed or 'an hour is too short'}: {new}")
                self.failing += ended.failed
                self._seconds |= dict.fromkeys(new, ended.seconds / len(new))
                print(f"{ended.seconds:5.0f} s  without a change: {len(new)} test files more", flush=True)
                for test in ended.failed:
                    print(f"         left out, as it fails without a change: {test}", flush=True)
            return PATIENCE * sum(self._seconds[test] for test in tests) + SECONDS


def main() -> int:
    """Returns 0 where at least nine of ten mutants were caught."""
    options = _options()
    found = [mutant for folder in options.folders for file in _sources(folder) for mutant in mutants_of(ROOT, file)]
    chosen = random.Random(options.seed).sample(found, min(options.mutations, len(found)))
    print(f"{len(chosen)} of {len(found)} mutants of {', '.join(options.folders)}, seed {options.seed}", flush=True)
    load_libraries()
    with tempfile.TemporaryDirectory(prefix="mutation-") as place:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(options.processes):
            copies.put(copied(ROOT, Path(place, str(number))))
        unchanged = Unchanged()
        with ThreadPoolExecutor(options.processes) as pool:
            verdicts = list(pool.map(lambda mutant: _judged(mutant, copies, unchanged), chosen))
    caught = sum(verdict.caught_by is not None for verdict in verdicts)
    options.out.mkdir(parents=True, exist_ok=True)
    summary = {"seed": options.seed, "folders": options.folders, "caught": caught, "of": len(verdicts)}
    verdict_rows = [dataclasses.asdict(verdict) for verdict in verdicts]
    left_out = {"left_out_as_they_fail_unchanged": unchanged.failing}
    (options.out / "mutation.json").write_text(json.dumps(summary | left_out | {"mutants": verdict_rows}, indent=1))
    (options.out / "mutation.md").write_text(_page(summary, verdicts))
    print(f"{caught} of {len(verdicts)} caught; {options.out / 'mutation.md'} lists the survivors")
    return 0 if caught >= 0.9 * len(verdicts) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which mutants are drawn (default: %(default)s)")
    parser.add_argument("--mutations", type=int, default=60, help="how many (default: %(default)s)")
    parser.add_argument(
        "--folders", nargs="+", default=FOLDERS, help="of which folders or files (default: %(default)s)"
    )
    parser.add_argument("--processes", type=int, default=2, help="at once (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "artifacts" / "mutation", help="folder for the summary")
    return parser.parse_args()


def _sources(folder: str) -> list[str]:
    place = ROOT / folder
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return [file.relative_to(ROOT).as_posix() for file in files]


def _judged(mutant: Mutant, copies: queue.SimpleQueue, unchanged: Unchanged) -> Verdict:
    """Runs the tests that can notice on a changed copy, nearest first."""
    copy, begin = copies.get(), time.monotonic()
    try:
        caught_by, diff = _tried(mutant, copy, unchanged)
    finally:
        copies.put(copy)
    seconds = time.monotonic() - begin
    shown = f"{mutant.file}:{mutant.line}: {mutant.old!r} -> {mutant.new!r}"
    print(f"{seconds:5.0f} s  {shown}  {caught_by or 'SURVIVED'}", flush=True)
    return Verdict(mutant, caught_by, seconds, diff)


def _tried(mutant: Mutant, copy: Path, unchanged: Unchanged) -> tuple[str | None, str]:
    """Returns the test that failed, or None, and the change as a diff."""
    file = copy / mutant.file
    before = file.read_bytes()
    after = mutant.applied(before)
    near = nearest(copy, mutant.file)
    others = [test for test in reaching(copy, mutant.file) if test not in near]
    caught_by = None
    for tests in filter(None, (near, others)):
        patience = unchanged.patience(copy, tests)
        try:
            file.write_bytes(after)
            ended = run_tests(copy, tests, unchanged.failing, patience, first=True)
        finally:
            file.write_bytes(before)
        if ended.timed_out or ended.failed:
            caught_by = "timeout" if ended.timed_out else ended.failed[0]
            break
    lines = [text.decode().splitlines(keepends=True) for text in (before, after)]
    return caught_by, "".join(difflib.unified_diff(*lines, mutant.file, mutant.file, n=1))


def _page(summary: dict, verdicts: list[Verdict]) -> str:
    lines = [
        f"# {summary['caught']} of {summary['of']} mutants caught",
        "",
        f"Seed {summary['seed']}; {', '.join(summary['folders'])}.",
    ]
    for verdict in verdicts:
        if verdict.caught_by is None:
            lines += [
                "",
                f"## {verdict.mutant.file}:{verdict.mutant.line}",
                "",
                "```diff",
                verdict.diff.rstrip(),
                "```",
            ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
