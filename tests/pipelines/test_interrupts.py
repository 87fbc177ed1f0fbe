"""Runs that are told to stop, or are killed: what they leave, and what the next run makes of it."""

import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from tests.pipelines.conftest import TINY_VARIANTS, Workshop

pytestmark = pytest.mark.pipeline
LONG = ("--epochs", "200")
FINISHED = {"completed", "cached", "failed"}


@contextlib.contextmanager
def training(workshop: Workshop) -> Iterator[subprocess.Popen]:
    """A run that has trained two epochs, the first or those after what an earlier run has trained."""
    arguments = ["--config", "tiny.yaml", "--data_root", str(workshop.data), "--out_dir", str(workshop.out), *LONG]
    command = ["python", "run_pipeline.py", *arguments]
    with subprocess.Popen(
        command, cwd=workshop.root, env=workshop.environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        epochs = (line for line in process.stderr if line.startswith("epoch "))
        assert len(list(itertools.islice(epochs, 2))) == 2, "training ended before its second epoch"
        yield process


def states(workshop: Workshop) -> set[str]:
    """The states of all runs and steps in ZenML's database."""
    folder = workshop.environment["ZENML_CONFIG_PATH"]
    with contextlib.closing(sqlite3.connect(f"{folder}/local_stores/default_zen_store/zenml.db")) as database:
        rows = [database.execute(f"SELECT status FROM {table}").fetchall() for table in ("pipeline_run", "step_run")]
    return {state for found in rows for (state,) in found}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_training_in_seconds_and_marks_it(workshop: Workshop, number: int, status: int) -> None:
    with training(workshop) as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert states(workshop) <= FINISHED


def test_the_next_run_marks_what_a_killed_one_left_running(workshop: Workshop) -> None:
    with training(workshop) as process:
        process.kill()
    assert "running" in states(workshop)
    workshop.run()
    assert states(workshop) <= FINISHED
    workshop.assert_complete(TINY_VARIANTS)


def test_the_next_run_leaves_a_living_one_alone(workshop: Workshop) -> None:
    with training(workshop) as process:
        other = workshop.run("--out_dir", str(workshop.out.with_name("other")))
        assert other.status == 0
        assert "running" in states(workshop)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert states(workshop) <= FINISHED


SWALLOWS = """
    import sys, time
    from pipelines import interrupts
    interrupts._SECONDS = 0.5
    asked = interrupts.Interrupts()
    asked.__enter__()
    asked.tidy = lambda: print("tidied")
    try:
        print("ready", flush=True)
        time.sleep(60)
    except BaseException:
        time.sleep(60)
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_code_that_swallows_the_signal_is_ended_by_the_clock(workshop: Workshop, number: int, status: int) -> None:
    command = [sys.executable, "-u", "-c", textwrap.dedent(SWALLOWS)]
    with subprocess.Popen(
        command, cwd=workshop.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        process.send_signal(number)  # people press it twice
        out, errors = process.communicate(timeout=20)
    assert process.returncode == status
    assert out == "tidied\n"
    assert "interrupted" in errors
