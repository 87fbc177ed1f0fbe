"""Starts commands as forks of a Python that has imported the libraries; see warm_python.py."""

import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.pipelines.warm_python import ENVIRONMENT

PROGRAM = Path(__file__).with_name("warm_python.py")
# Of the variables that libraries read while they are imported, those that may differ from fork to fork.
READ_LATER = ("ZENML_CONFIG_PATH", "MLFLOW_TRACKING_URI", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
READ_AT_IMPORT = ("ZENML_", "MLFLOW_", "PYTHON", "LC_", "LANG", "OMP_", "OPENBLAS_", "MKL_", "OPENCV_", "MPL")


class Warm:
    """A process that is a fork, with the part of `subprocess.Popen` that the tests use."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stderr: IO[str] | None = None
        self._status = status

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end and returns the exit status, negative after a signal."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(os.read(self._status, 64) or -signal.SIGKILL)  # nothing: the forking process is gone
            os.close(self._status)
        return self.returncode

    def poll(self) -> int | None:
        """Returns the exit status, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal to this process alone, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)


def can_be_warm(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether this command behaves in a fork as if it were started cold."""
    known = {**os.environ, **ENVIRONMENT}
    told = {name for name in {*environment, *known} if name.startswith(READ_AT_IMPORT) and name not in READ_LATER}
    other = {name for name in told if name in environment and environment[name] != known.get(name)}
    custom = any(
        Path(path, "sitecustomize.py").exists() for path in environment.get("PYTHONPATH", "").split(os.pathsep)
    )
    is_python = command[0] == "python" and (command[1] == "-c" or not command[1].startswith("-"))
    return is_python and not other and not custom and "--verbose" not in command


def start(command: Sequence[str], cwd: Path, environment: Mapping[str, str], stdout: int, stderr: int) -> Warm:
    """Starts `python ...` as a fork; the descriptors stay the caller's.

    Raises:
        ValueError: It would not behave as if it were started cold.
    """
    if not can_be_warm(command, environment):
        raise ValueError(f"{command} in this environment needs a Python of its own")
    order = {"arguments": command[1:], "cwd": str(cwd), "environment": dict(environment)}
    content = json.dumps(order).encode()
    server, (read, write) = _server(), os.pipe()
    with Path(os.devnull).open() as stdin:
        socket.send_fds(server, [len(content).to_bytes(4)], [stdin.fileno(), stdout, stderr, write])
        server.sendall(content)
    os.close(write)
    pid = b""
    while not pid.endswith(b"\n"):
        byte = os.read(read, 1)
        assert byte, "the Python that forks has ended"
        pid += byte
    return Warm(int(pid), read)


def run(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Runs `python ...` as a fork to its end, as `subprocess.run` does with captured output."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = start(command, cwd, environment, out.fileno(), errors.fileno())
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        for file in (out, errors):
            file.seek(0)
        return subprocess.CompletedProcess(command, status, out.read(), errors.read())


@functools.cache
def _server() -> socket.socket:
    """Starts the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "ZENML"))},
        )
    return ours
