"""MLflow's server goes, or answers no more, while a run works: results are on disk, and the next run records them."""

import signal
import time

import pytest

from tests.pipelines.processes import free_port, mlflow_server, started
from tests.pipelines.workshop import TINY_VARIANTS, Workshop

pytestmark = [pytest.mark.pipeline, pytest.mark.torture]

ALWAYS = {"fingerprint_dataset", "compare"}
SECONDS = 150  # two tries of half a minute, on a busy machine


def recording_at(url: str, workshop: Workshop) -> Workshop:
    """Has a workshop record at a server."""
    workshop.environment["MLFLOW_TRACKING_URI"] = url
    return workshop


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["it is gone", "it hangs"])
def test_a_server_that_goes_half_way_loses_nothing(number: signal.Signals, tmp_path) -> None:
    workshop, port = Workshop(tmp_path), free_port()
    with (
        mlflow_server(workshop, port) as server,
        started(recording_at(server.url, workshop), *workshop.arguments) as run,
    ):
        while not (run.next_line() or "train_unet").startswith("train_unet"):
            pass
        server.send(number)
        begin = time.monotonic()
        assert run.wait() == 1, run.errors
    assert time.monotonic() - begin < SECONDS
    assert run.lines[-1][1].startswith("error: the results are in ")
    assert "run the same command again when it does" in run.errors
    assert "Traceback" not in run.errors
    assert set(workshop.variants()) == TINY_VARIANTS
    assert (workshop.out / "report.html").is_file()
    with mlflow_server(workshop, port):
        assert workshop.run().ran == ALWAYS
        workshop.assert_complete(TINY_VARIANTS)


def test_a_server_that_hangs_before_work_begins_is_named_in_seconds(tmp_path) -> None:
    workshop = Workshop(tmp_path)
    with mlflow_server(workshop) as server:
        recording_at(server.url, workshop)
        server.send(signal.SIGSTOP)
        begin = time.monotonic()
        failed = workshop.run(check=False)
        assert time.monotonic() - begin < SECONDS
    assert failed.status == 1
    assert "MLflow's server at" in failed.stderr
    assert not failed.ran
