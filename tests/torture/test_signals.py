"""SIGINT and SIGTERM at random moments, the first imports included: a clean end, and everything marked."""

import random
import signal
import time

import pytest

from tests.pipelines.processes import FINISHED, started, zenml_states
from tests.pipelines.workshop import TINY_VARIANTS, Workshop

pytestmark = [pytest.mark.pipeline, pytest.mark.torture]

LONG = ("--epochs", "40")
SECONDS = 30  # on a busy machine; the program gives itself 15


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="module")
def length(workshop: Workshop) -> float:
    """How long a run takes that everything is new to."""
    begin = time.monotonic()
    workshop.run(*LONG, "--no_cache")
    return time.monotonic() - begin


@pytest.mark.parametrize("number", range(16))
def test_a_signal_at_any_moment_ends_the_run_cleanly(number: int, workshop: Workshop, length: float) -> None:
    sent, status = ((signal.SIGINT, 130), (signal.SIGTERM, 143))[number % 2]
    with started(workshop, *workshop.arguments, *LONG, "--no_cache") as run:
        time.sleep(random.Random(number).uniform(0.5, 0.9 * length))
        run.send(sent)
        begin = time.monotonic()
        ended = run.wait()
    assert ended == status, run.errors
    assert time.monotonic() - begin < SECONDS
    assert "Traceback" not in run.errors
    assert run.lines[-1][1].startswith("error: interrupted")
    assert zenml_states(workshop) <= FINISHED


def test_after_all_of_them_the_same_command_ends_well(workshop: Workshop, length: float) -> None:
    workshop.run(*LONG)
    workshop.assert_complete(TINY_VARIANTS)
