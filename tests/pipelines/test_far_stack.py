"""No step needs a path of another: a run with a store far away, each step in a process and a folder of its own."""

import shutil
from pathlib import Path

import pytest

from tests.pipelines.workshop import Workshop

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]
FAR = Path(__file__).parent / "far"


@pytest.fixture(scope="module")
def far(workshop: Workshop) -> Workshop:
    """A project whose active stack is far away, in which the tiny configuration has run once there."""
    made, folder = workshop, workshop.folder
    shutil.rmtree(made.out)
    shutil.copytree(FAR, made.root / "far", ignore=shutil.ignore_patterns("__pycache__"))
    made.environment |= {
        "FAR_STORE": str(folder / "store"),
        "FAR_OPENED": str(folder / "opened"),
        "FAR_MACHINE": str(folder / "machine"),
        "FAR_OUT": str(made.out),
        "PYTHONPATH": str(made.root),
    }
    done = made.call("python", "far/stack.py")
    assert done.status == 0, done.stderr
    made.first = made.run("svd_ranks=1", "arsvd_taus=[]", "budgets=0.5", f"remote_dir={folder / 'machine'}")
    return made


VARIANTS = {"baseline", "svd_rank_1", "svd_budget_0.5", "arsvd_budget_0.5", "budget_0.5"}


def test_results_come_home_from_the_machine_that_made_them(far: Workshop) -> None:
    far.assert_complete(VARIANTS)
    for file in ("results.csv", "train_history.json", "dataset_manifest.json", "report.html", "plots/masks.png"):
        assert (far.out / file).stat().st_size > 0
    assert all(name in far.first.stdout for name in VARIANTS)


def test_no_step_opens_a_file_of_another_machine(far: Workshop) -> None:
    assert Path(far.environment["FAR_OPENED"]).read_text() == ""


def test_what_is_wrong_on_another_machine_is_told_here(far: Workshop, tmp_path: Path) -> None:
    data = shutil.copytree(far.data, tmp_path / "data")
    image = next(data.glob("train/*.png"))
    image.write_bytes(b"this is no image")
    done = far.run("--data_root", str(data), f"remote_dir={tmp_path / 'machine'}", check=False)
    assert done.status == 2
    _, said, told = done.stderr.rpartition("\nerror: ")  # above it stands what the step's own machine has printed
    assert said
    assert image.name in told
