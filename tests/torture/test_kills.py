"""kill -9 at a random moment of every step, and the same command again: nothing lost, nothing half-written, same table.

On one CPU thread results are bitwise those of a run that nobody killed. On more, sums are taken in another order from
run to run, killed or not, so that the last digits differ.
"""

import json
import random
import re
import signal
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import SHARED
from tests.pipelines.processes import FINISHED, Run, files_of, started, zenml_states
from tests.pipelines.workshop import Workshop

pytestmark = [pytest.mark.pipeline, pytest.mark.torture]

KILLS = 30
SMALL = {
    "data": {"image_size": [32, 32], "channels": 1},
    "model": {"base_filters": 4, "dropout": 0.1},
    "training": {"epochs": 4, "batch_size": 64, "lr": 0.004, "augment": "flips"},
    "compression": {"svd_ranks": [2], "arsvd_taus": [0.8], "budgets": [0.5]},
    "statistics": {"images": 16},
}
NAMES = {"baseline", "svd_rank_2", "arsvd_tau_0.8", "svd_budget_0.5", "arsvd_budget_0.5", "budget_0.5"}


class Project(Workshop):
    """A fresh clone in which the small run is made, on the real data where they are there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.root / "small.yaml").write_text(yaml.safe_dump(SMALL))
        self.environment["OMP_NUM_THREADS"] = "1"
        real = SHARED / "data" / "brain_tumor"
        self.data = real if real.exists() else self.data

    @property
    def arguments(self) -> tuple[str, ...]:
        """Those of the small run."""
        return ("--config", "small.yaml", "--data_root", str(self.data), "--out_dir", str(self.out))

    def table(self) -> dict[str, dict]:
        """What a run found out of every variant: all but the time it took."""
        return {
            name: {"metrics": entry["metrics"], "params": entry["info"]["params"], "layers": entry["layers"]}
            for name, entry in self.variants().items()
        }

    def weights(self) -> dict[str, bytes]:
        """The networks."""
        return {file.parent.name: file.read_bytes() for file in self.out.glob("networks/*/weights.safetensors")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list[float]]:
    """A run that nobody kills, and when it finished each step."""
    project = Project(tmp_path_factory.mktemp("undisturbed"))
    with started(project, *project.arguments) as run:
        assert run.wait() == 0, run.errors
    return project, [when for when, line in run.lines if is_step(line)]


def is_step(line: str) -> bool:
    """Whether a line says that a step is done: its name, and its time or `cached`."""
    return re.fullmatch(r"[a-z]\S*\s+(cached|(\d+m)?[\d.]+s)", line) is not None


def kill_in_step(run: Run, number: int, delay: float) -> set[str]:
    """Waits until `number` steps are done and some time longer, kills, and gives the steps that were done."""
    while sum(is_step(line) for _, line in run.lines) < number:
        assert run.next_line() is not None, f"the run ended after {run.lines}"
    time.sleep(delay)
    run.send(signal.SIGKILL)
    run.wait()
    return {line.split()[0] for _, line in run.lines if is_step(line)}


def assert_whole(folder: Path) -> None:
    """Checks that every file that people and programs read is whole."""
    for file in folder.rglob("*.json"):
        json.loads(file.read_bytes())
    for file in folder.rglob("*.png"):
        assert file.read_bytes().endswith(b"IEND\xaeB`\x82"), file
    for file in folder.glob("report.html"):
        assert file.read_text().rstrip().endswith("</html>")


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_is_taken_up_by_the_same_command_and_ends_alike(
    number: int, undisturbed: tuple[Project, list[float]], tmp_path: Path
) -> None:
    whole, times = undisturbed
    step = number % len(times)
    length = times[step] - (times[step - 1] if step else 0)
    delay = random.Random(number).uniform(0, length)
    project = Project(tmp_path)
    with started(project, *project.arguments) as run:
        done = kill_in_step(run, step, delay)
    if project.out.exists():
        assert_whole(project.out)

    with started(project, *project.arguments) as run:
        assert run.wait() == 0, run.errors
    cached = {line.split()[0] for _, line in run.lines if line.endswith("cached")}
    assert done - cached <= {"fingerprint_dataset", "compare"}, "a finished step ran again"
    assert project.table() == whole.table()
    assert project.weights() == whole.weights()
    assert files_of(project.out) == files_of(whole.out)
    assert zenml_states(project) <= FINISHED
    project.assert_complete(NAMES)
