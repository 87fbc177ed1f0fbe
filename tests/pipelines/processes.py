"""Runs of the pipeline, and servers beside them, as processes that can be watched and ended."""

import contextlib
import dataclasses
import os
import queue
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.pipelines.warm import Warm, can_be_warm, start
from tests.pipelines.workshop import Workshop

FINISHED = {"completed", "cached", "failed"}  # of ZenML's runs and steps
PATIENCE = 600  # seconds for a run that does not end, or says nothing


@dataclasses.dataclass
class Run:
    """A run that goes on.

    Attributes:
        process: Its process.
        lines: Its lines on standard error so far, each with the seconds since the start.
    """

    process: subprocess.Popen | Warm
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

    def wait(self, seconds: float = PATIENCE) -> int:
        """Reads to the end, and gives the exit status; ends the test where that takes longer."""
        end = time.monotonic() + seconds
        while self.next_line() is not None:
            assert time.monotonic() < end, f"it still runs after {seconds} s:\n{self.errors}"
        return self.process.wait(seconds)

    def wait_for_epochs(self, number: int) -> None:
        """Waits until it has trained so many epochs."""
        while sum(" epoch " in line for _, line in self.lines) < number:
            assert self.next_line() is not None, f"it ended before its epoch {number}:\n{self.errors}"

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to this process alone, as `kill` does."""
        self.process.send_signal(number)

    @property
    def errors(self) -> str:
        """What it wrote on standard error."""
        return "\n".join(line for _, line in self.lines)


@contextlib.contextmanager
def started(workshop: Workshop, *arguments: str, cold: bool = False) -> Iterator[Run]:
    """Starts run_pipeline.py; kills it at the end if it still runs."""
    command = ("python", "run_pipeline.py", *arguments)
    is_warm = not (cold or workshop.cold) and can_be_warm(command, workshop.environment)
    with (_start_warm if is_warm else _start_cold)(workshop, command) as process:
        try:
            yield Run(process)
        finally:
            process.kill()


def _start_cold(workshop: Workshop, command: tuple[str, ...]) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        cwd=workshop.root,
        env=workshop.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def _start_warm(workshop: Workshop, command: tuple[str, ...]) -> Iterator[Warm]:
    reading, writing = os.pipe()
    with Path(os.devnull).open("w") as nowhere:
        process = start(command, workshop.root, workshop.environment, nowhere.fileno(), writing)
    os.close(writing)
    with os.fdopen(reading) as process.stderr:
        yield process
        process.wait()


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


@dataclasses.dataclass(frozen=True)
class Server:
    """MLflow's server over a project's database, in a process group of its own."""

    url: str
    group: int

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to all of its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, number)


@contextlib.contextmanager
def mlflow_server(workshop: Workshop, port: int | None = None) -> Iterator[Server]:
    """Starts `mlflow server`, as `mlflow ui` does, and waits until it answers."""
    port = port or free_port()
    command = ["mlflow", "server", "--backend-store-uri", f"sqlite:///{workshop.root}/mlflow.db", "--port", str(port)]
    command += ["--artifacts-destination", str(workshop.root / "mlruns"), "--workers", "1"]
    with subprocess.Popen(
        command,
        cwd=workshop.root,
        env=workshop.environment | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        server = Server(f"http://127.0.0.1:{port}", process.pid)
        try:
            wait_for(server.url)
            yield server
        finally:
            server.send(signal.SIGKILL)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def wait_for(url: str) -> None:
    """Waits until a server answers."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
            return
        time.sleep(0.3)
    raise TimeoutError(f"{url} does not answer")
