"""`python -m tests.mutation --seed 1 --mutations 60 --folders torch_lowrank/ranks analysis models/evaluation`."""

import argparse
import dataclasses
import difflib
import json
import queue
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.reach import nearest, reaching
from tests.mutation.running import copied, load_libraries, run_tests

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


@dataclasses.dataclass
class Known:
    """What is known of the tests before anything is changed: those that fail anyway, and the seconds of all."""

    failing: list[str]
    seconds: float


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
        known = _unchanged(copies, sorted({mutant.file for mutant in chosen}))
        with ThreadPoolExecutor(options.processes) as pool:
            verdicts = list(pool.map(lambda mutant: _judged(mutant, copies, known), chosen))
    caught = sum(verdict.caught_by is not None for verdict in verdicts)
    options.out.mkdir(parents=True, exist_ok=True)
    summary = {"seed": options.seed, "folders": options.folders, "caught": caught, "of": len(verdicts)}
    verdict_rows = [dataclasses.asdict(verdict) for verdict in verdicts]
    left_out = {"left_out_as_they_fail_unchanged": known.failing}
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


def _unchanged(copies: queue.SimpleQueue, files: list[str]) -> Known:
    """Runs all tests that will be asked for, without a change."""
    copy = copies.get()
    tests = sorted({test for file in files for test in [*nearest(copy, file), *reaching(copy, file)]})
    ended = run_tests(copy, tests, [], 3600, first=False)
    copies.put(copy)
    if ended.timed_out:
        sys.exit("without a change, the tests do not end in an hour")
    for test in ended.failed:
        print(f"left out, as it fails without a change: {test}")
    print(f"without a change, {len(tests)} test files take {ended.seconds:.0f} s", flush=True)
    return Known(ended.failed, ended.seconds)


def _judged(mutant: Mutant, copies: queue.SimpleQueue, known: Known) -> Verdict:
    """Changes a copy, runs the tests that can notice, nearest first, and changes it back."""
    copy, begin = copies.get(), time.monotonic()
    file = copy / mutant.file
    before = file.read_bytes()
    after = mutant.applied(before)
    caught_by = None
    try:
        file.write_bytes(after)
        near = nearest(copy, mutant.file)
        others = [test for test in reaching(copy, mutant.file) if test not in near]
        for tests in filter(None, (near, others)):
            ended = run_tests(copy, tests, known.failing, PATIENCE * known.seconds + SECONDS, first=True)
            if ended.timed_out or ended.failed:
                caught_by = "timeout" if ended.timed_out else ended.failed[0]
                break
    finally:
        file.write_bytes(before)
        copies.put(copy)
    lines = [text.decode().splitlines(keepends=True) for text in (before, after)]
    diff = "".join(difflib.unified_diff(*lines, mutant.file, mutant.file, n=1))
    seconds = time.monotonic() - begin
    shown = f"{mutant.file}:{mutant.line}: {mutant.old!r} -> {mutant.new!r}"
    print(f"{seconds:5.0f} s  {shown}  {caught_by or 'SURVIVED'}", flush=True)
    return Verdict(mutant, caught_by, seconds, diff)


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
