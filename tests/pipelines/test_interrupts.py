"""Runs that are told to stop, or are killed: what they leave, and what the next run makes of it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from tests.pipelines.processes import FINISHED, Run, started, zenml_states
from tests.pipelines.workshop import TINY_VARIANTS, Workshop

pytestmark = pytest.mark.pipeline
LONG = ("--epochs", "200")


@contextlib.contextmanager
def training(workshop: Workshop, cold: bool = False) -> Iterator[Run]:
    """A run that has trained two epochs, the first or those after what an earlier run has trained."""
    with started(workshop, *workshop.arguments, *LONG, cold=cold) as run:
        run.wait_for_epochs(2)
        yield run


def test_an_interrupt_ends_a_training_in_seconds_and_marks_it(workshop: Workshop) -> None:
    with training(workshop, cold=True) as run:
        run.send(signal.SIGINT)
        assert run.wait(90) == 130
    assert "interrupted" in run.errors
    assert "Traceback" not in run.errors
    assert zenml_states(workshop) <= FINISHED


def test_a_killed_training_is_marked_by_the_next_run_and_goes_on_from_its_last_epoch(workshop: Workshop) -> None:
    with started(workshop, *workshop.arguments, "--epochs", "40") as run:
        run.wait_for_epochs(3)
        run.send(signal.SIGKILL)
        run.wait()
    assert "running" in zenml_states(workshop)
    again = workshop.run("--epochs", "40")
    assert zenml_states(workshop) <= FINISHED
    epochs = [line.split()[2] for line in again.stderr.splitlines() if " epoch " in line]
    assert epochs[-1] == "40/40:"
    assert int(epochs[0].split("/")[0]) > 3, "it started from the beginning"
    assert len(json.loads((workshop.out / "train_history.json").read_text())["epochs"]) == 40
    workshop.assert_complete(TINY_VARIANTS)


def test_the_next_run_leaves_a_living_one_alone_which_ends_at_a_signal(workshop: Workshop) -> None:
    with training(workshop) as run:
        other = workshop.run("--out_dir", str(workshop.out.with_name("other")))
        assert other.status == 0
        assert "running" in zenml_states(workshop)
        run.send(signal.SIGTERM)
        assert run.wait(90) == 143
    assert "interrupted" in run.errors
    assert "Traceback" not in run.errors
    assert zenml_states(workshop) <= FINISHED


SWALLOWS = """
    import sys, time
    from pipelines.execution import interrupts
    interrupts._SECONDS_TO_END = 0.5
    asked = interrupts.Interrupts()
    asked.__enter__()
    asked.clean_up = lambda: print("tidied")
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
        out, errors = process.communicate(timeout=90)
    assert process.returncode == status
    assert out == "tidied\n"
    assert "interrupted" in errors
