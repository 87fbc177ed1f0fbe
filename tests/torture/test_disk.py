"""No room left: the step is named, nothing half-written stays, and after room was made the same command goes on.

A limit of a file's size fails as a full disk does, wherever the tests run; a small disk needs the right to mount one.
"""

import contextlib
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.processes import files_of
from tests.pipelines.workshop import TINY_VARIANTS, Finished, Workshop

pytestmark = [pytest.mark.pipeline, pytest.mark.torture]

LARGE = ("--image_size", "512", "512")  # 4 MB of training images; ZenML's own database has 2


def limited(workshop: Workshop, kilobytes: int) -> Finished:
    """A run in which no file can grow beyond a size."""
    command = shlex.join(["python", "run_pipeline.py", *workshop.arguments, *LARGE])
    return workshop.call("bash", "-c", f"ulimit -f {kilobytes}; exec {command}")


def assert_says_where(failed: Finished, what: str) -> None:
    assert failed.status == 1, failed.stderr
    assert what in failed.stderr.splitlines()[-1]
    assert "Traceback" not in failed.stderr


def assert_nothing_half_written(workshop: Workshop) -> None:
    left = {name for name in files_of(workshop.out) if "partial" in name or "unfinished" in name or ".tmp" in name}
    assert not left
    assert not (workshop.out / "experiment_summary.json").exists()


def test_a_data_set_that_finds_no_room_is_told_and_stored_when_there_is(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.run("--svd_ranks", "1")  # the databases are there
    (workshop.out / "experiment_summary.json").unlink()
    failed = limited(workshop, 3000)
    assert_says_where(failed, "step ingest_coco failed: File too large")
    assert_nothing_half_written(workshop)
    workshop.run(*LARGE)
    workshop.assert_complete(TINY_VARIANTS)


@contextlib.contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A disk in memory; skips the test where none can be mounted."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(
    ("kilobytes", "step"),
    [(50, "train_unet"), (1200, "compare"), (1900, "compare")],
    ids=["checkpoint", "network", "picture"],
)
def test_a_full_disk_for_results_is_told_and_work_goes_on_when_there_is_room(
    kilobytes: int, step: str, tmp_path: Path
) -> None:
    """A checkpoint needs 950 kilobytes, the networks 640, pictures and report more than that."""
    workshop = Workshop(tmp_path)
    with small_disk(tmp_path / "disk", 8) as disk:
        workshop.out = disk / "out"
        filling = disk / "filling"
        filling.write_bytes(bytes(8 * 2**20 - kilobytes * 1024))
        failed = workshop.run(check=False)
        assert_says_where(failed, f"step {step} failed: No space left on device")
        assert_nothing_half_written(workshop)
        filling.unlink()
        workshop.run()
        workshop.assert_complete(TINY_VARIANTS)
