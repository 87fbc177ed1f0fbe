"""Runs of the pipeline as processes that can be watched and ended."""

import contextlib
import dataclasses
import queue
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.pipelines.conftest import Workshop

FINISHED = {"completed", "cached", "failed"}  # of ZenML's runs and steps
PATIENCE = 600  # seconds for a run that does not end, or says nothing


@dataclasses.dataclass
class Run:
    """A run that goes on.

    Attributes:
        process: Its process.
        lines: Its lines on standard error so far, each with the seconds since the start.
    """

    process: subprocess.Popen
    lines: list[tuple[float, str]] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self._begin = time.monotonic()
        self._new: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._new.put(line.rstrip("\n"))
        self._new.put(None)

    def next_line(self) -> str | None:
        """Waits for the next line; None after the last one."""
        line = self._new.get(timeout=PATIENCE)
        if line is not None:
            self.lines.append((time.monotonic() - self._begin, line))
        return line

    def wait(self) -> int:
        """Reads to the end, and gives the exit status."""
        while self.next_line() is not None:
            pass
        return self.process.wait(PATIENCE)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to this process alone, as `kill` does."""
        self.process.send_signal(number)

    @property
    def errors(self) -> str:
        """What it wrote on standard error."""
        return "\n".join(line for _, line in self.lines)


@contextlib.contextmanager
def started(workshop: Workshop, *arguments: str) -> Iterator[Run]:
    """Starts run_pipeline.py; kills it at the end if it still runs."""
    command = ["python", "run_pipeline.py", *arguments]
    with subprocess.Popen(
        command,
        cwd=workshop.root,
        env=workshop.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Run(process)
        finally:
            process.kill()


def zenml_states(workshop: Workshop) -> set[str]:
    """The states of all runs and steps in ZenML's database; none where there is no database yet."""
    folder = Path(workshop.environment["ZENML_CONFIG_PATH"], "local_stores", "default_zen_store")
    if not (folder / "zenml.db").exists():
        return set()
    with contextlib.closing(sqlite3.connect(folder / "zenml.db")) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = [
            database.execute(f"SELECT status FROM {table}").fetchall()
            for table in {"pipeline_run", "step_run"} & tables
        ]
    return {state for rows in found for (state,) in rows}


def files_of(folder: Path) -> set[str]:
    """All files below a folder, by relative name."""
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
