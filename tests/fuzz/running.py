"""Runs cases in a process of their own that may hang or die, and adds up what comes of them."""

import dataclasses
import multiprocessing
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.fuzz.judging import MEGABYTES, Case, Outcome, run_case

Run = Callable[[Case, Path], Outcome]
PATIENCE = 30.0  # seconds; a case may take 5, building it and starting the process take some more
SHOWN_KINDS = 60


class Worker:
    """A process that runs one case after the other; a new one takes the place of one that hangs, dies or grows."""

    def __init__(self, run: Run = run_case, patience: float = PATIENCE) -> None:
        self._run, self._patience = run, patience
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, self._run), daemon=True)
        self._process.start()
        there.close()

    def run(self, case: Case, place: Path) -> Outcome:
        """Runs a case; what the process does not survive is a finding."""
        self._here.send((case, place))
        try:
            if self._here.poll(self._patience):
                outcome: Outcome = self._here.recv()
                if outcome.megabytes > MEGABYTES:  # the peak of a process never falls again
                    self._restart()
                return outcome
            finding = f"it hung for more than {self._patience:.0f} s"
        except EOFError:
            self._process.join()
            finding = f"the process died (exit code {self._process.exitcode})"
        self._restart()
        return Outcome(finding=finding, seconds=self._patience)

    def _restart(self) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()
        self._here.close()


def _serve(there: Connection, run: Run) -> None:
    while True:
        there.send(run(*there.recv()))


@dataclasses.dataclass
class Tally:
    """What came of all cases so far."""

    cases: Counter[str] = dataclasses.field(default_factory=Counter)
    results: Counter[str] = dataclasses.field(default_factory=Counter)
    kinds: Counter[str] = dataclasses.field(default_factory=Counter)
    findings: list[tuple[Case, str]] = dataclasses.field(default_factory=list)
    slowest: tuple[float, Case | None] = (0.0, None)
    megabytes: int = 0

    def add(self, case: Case, outcome: Outcome) -> None:
        """Counts one case."""
        self.cases[case.part] += 1
        self.results[case.part] += not outcome.refusals and outcome.finding is None
        self.kinds.update(set(outcome.refusals))
        self.megabytes = max(self.megabytes, outcome.megabytes)
        if outcome.seconds > self.slowest[0]:
            self.slowest = (outcome.seconds, case)
        if outcome.finding is not None:
            self.findings.append((case, outcome.finding))

    def show(self, console: Console) -> None:
        """Prints the figures, the kinds of refusal, and how to repeat every finding."""
        table = Table("what", "figure")
        for part, number in self.cases.items():
            refused = number - self.results[part] - sum(case.part == part for case, _ in self.findings)
            table.add_row(part, f"{number} cases: {self.results[part]} results, {refused} refusals")
        seconds, slowest = self.slowest
        table.add_row("slowest", f"{seconds:.2f} s ({slowest})")
        table.add_row("peak memory", f"{self.megabytes} MB")
        table.add_row("findings", str(len(self.findings)))
        console.print(table)
        kinds = Table("cases", f"kind of refusal ({len(self.kinds)} kinds)")
        for kind, number in self.kinds.most_common(SHOWN_KINDS):
            kinds.add_row(str(number), kind)
        console.print(kinds, markup=False)


def fuzz(part: str, numbers: Iterable[int], seconds: float, folder: Path, worker: Worker, tally: Tally) -> None:
    """Runs the cases of a part until they or the time are used up; tells findings at once."""
    console = Console(stderr=True)
    begin = time.monotonic()
    with Progress(console=console, disable=not console.is_terminal) as progress:
        for number in progress.track(numbers, description=part):
            if time.monotonic() - begin > seconds:
                break
            case, place = Case(part, number), folder / f"{part}-{number}"
            place.mkdir(parents=True)
            outcome = worker.run(case, place)
            tally.add(case, outcome)
            if outcome.finding is not None:
                print(f"FINDING {case}\n{outcome.finding}\nkept: {place}", flush=True)
                print(f"repeat: python -m tests.fuzz --case {part} {number}", flush=True)
            else:
                shutil.rmtree(place, ignore_errors=True)
