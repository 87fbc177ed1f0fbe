"""A command that is a fork of a Python with the libraries behaves as if it were started cold."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

import run_pipeline
from tests.conftest import ROOT
from tests.pipelines import warm
from tests.pipelines.warm_python import ENVIRONMENT
from tests.pipelines.workshop import SOURCES, environment_in

pytestmark = pytest.mark.pipeline

PROBE = """
import atexit, json, os, signal, sys, threading
if __name__ == "__main__":
    atexit.register(print, "at the end")
    descriptors = [number for number in range(3, 64) if os.path.exists(f"/proc/self/fd/{number}")]
    print(json.dumps({
        "argv": sys.argv, "path": sys.path, "cwd": os.getcwd(), "environment": dict(os.environ), "file": __file__,
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
        "streams": [(stream.isatty(), stream.encoding, stream.line_buffering) for stream in (sys.stdout, sys.stderr)],
        "input": sys.stdin.read(), "descriptors": descriptors, "threads": threading.active_count(),
        "group": os.getpgrp(), "hook": sys.excepthook is sys.__excepthook__, "main": sys.modules["__main__"].__file__,
        "bytecode": sys.dont_write_bytecode, "hash": hash("text") == hash("text"),
    }))
    print("an error", file=sys.stderr)
    ENDS
"""
ENDS = {
    "0": "pass",
    "3": "sys.exit(3)",
    "1": "raise ValueError('why')",
    "text": "sys.exit('a text')",
    "signal": "os.kill(os.getpid(), signal.SIGTERM)",
    "interrupt": "os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(5)",
}


def run_both(command: list[str], folder: Path) -> list[subprocess.CompletedProcess]:
    """Cold and warm."""
    environment = environment_in(folder)
    options = {"cwd": folder, "env": environment, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    return [
        subprocess.run(command, check=False, timeout=300, **options),
        warm.run(command, folder, environment, 300),
    ]


@pytest.mark.parametrize("end", ENDS)
def test_a_script_sees_and_leaves_the_same(end: str, tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE.replace("ENDS", ENDS[end]))
    cold, forked = run_both(["python", "probe.py", "--flag", "a b"], tmp_path)
    assert forked.returncode == cold.returncode
    assert ("at the end" in forked.stdout) == ("at the end" in cold.stdout)
    assert forked.stderr.splitlines()[-1:] == cold.stderr.splitlines()[-1:]
    if cold.stdout:  # a signal loses what was not written yet
        seen, expected = (json.loads(done.stdout.splitlines()[0]) for done in (forked, cold))
        seen["path"] = [path for path in seen["path"] if not path.endswith("/_vendor")]  # PyTorch imports setuptools
        for name in expected:
            assert seen[name] == expected[name], name


def test_code_on_the_command_line_sees_the_same(tmp_path: Path) -> None:
    code = "import sys; print(sys.argv, sys.path[0] == '', __name__, sorted(globals()))"
    cold, forked = run_both(["python", "-c", code, "word"], tmp_path)
    assert (forked.returncode, forked.stdout) == (cold.returncode, cold.stdout)
    assert "['-c', 'word'] True __main__" in cold.stdout


def test_a_process_is_watched_and_ended_by_signals(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = warm.start(
        ["python", "-c", "import time; print('ready', flush=True); time.sleep(60)"],
        tmp_path,
        environment_in(tmp_path),
        writing,
        writing,
    )
    os.close(writing)
    with os.fdopen(reading) as output:
        assert output.readline() == "ready\n"
        check_signals(process)
        assert output.read() == ""


def check_signals(process: warm.Warm) -> None:
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == process.poll() == -signal.SIGTERM
    process.kill()


def test_nothing_of_the_project_and_no_choice_of_a_library_is_made_before(tmp_path: Path) -> None:
    code = (
        "import json, sys, zenml.client, zenml.config.global_config as config;"
        "print(json.dumps([sorted({name.partition('.')[0] for name in sys.modules}),"
        "config.GlobalConfiguration._global_config is None, zenml.client.Client._global_client is None]))"
    )
    done = warm.run(["python", "-c", code], tmp_path, environment_in(tmp_path), 300)
    modules, configuration, client = json.loads(done.stdout)
    assert not {*modules} & {name.removesuffix(".py") for name in SOURCES}
    assert {"torch", "zenml", "mlflow", "lightning", "monai", "cv2", "matplotlib"} <= {*modules}
    assert (configuration, client) == (True, True)
    assert [*tmp_path.iterdir()] == []


def test_libraries_are_imported_as_run_pipeline_has_them_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr("warnings.filterwarnings", lambda _: None)
    run_pipeline._set_environment(verbose=False)
    assert environment == ENVIRONMENT


@pytest.mark.parametrize(
    ("command", "more"),
    [
        (("python", "run_pipeline.py", "--verbose"), {}),
        (("python", "run_pipeline.py"), {"ZENML_LOGGING_VERBOSITY": "DEBUG"}),
        (("python", "run_pipeline.py"), {"OMP_NUM_THREADS": "7"}),
        (("python", "run_pipeline.py"), {"PYTHONPATH": "{guarded}"}),
        (("python", "-m", "mlflow"), {}),
        (("zenml", "stack", "list"), {}),
    ],
)
def test_what_libraries_read_while_they_are_imported_takes_a_python_of_its_own(
    command: tuple[str, ...], more: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").touch()
    environment = environment_in(tmp_path)
    assert warm.can_be_warm(("python", "run_pipeline.py"), environment)
    more = {name: value.format(guarded=tmp_path) for name, value in more.items()}
    assert not warm.can_be_warm(command, environment | more)


def test_every_package_of_the_project_is_copied() -> None:
    packages = {file.parent.name for file in ROOT.glob("*/*.py")} - {"tests", "benchmarks"}
    assert packages | {"run_pipeline.py"} == {*SOURCES}
