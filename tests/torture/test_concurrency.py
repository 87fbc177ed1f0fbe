"""Runs beside each other: all end well, all results are complete, nothing is recorded twice."""

import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.pipelines.processes import mlflow_server
from tests.pipelines.workshop import TINY_VARIANTS, Finished, Workshop

pytestmark = [pytest.mark.pipeline, pytest.mark.torture]


def run_at_once(workshop: Workshop, *sweeps: tuple[str, ...]) -> list[Finished]:
    """Starts a run a sweep, each with a folder of results of its own, and waits for all."""

    def one(number: int) -> Finished:
        out = workshop.out.with_name(f"out_{number}")
        return workshop.run("--out_dir", str(out), *sweeps[number], check=False)

    with ThreadPoolExecutor(len(sweeps)) as pool:
        return list(pool.map(one, range(len(sweeps))))


def variants_of(ranks: str) -> set[str]:
    """The tiny sweep's variants, with other ranks."""
    return {"baseline", "arsvd_tau_0.5", "arsvd_tau_0.8", *(f"svd_rank_{rank}" for rank in ranks.split(","))}


def look_at(workshop: Workshop, number: int, names: set[str]) -> None:
    """Checks one run's files and its record."""
    before, workshop.out = workshop.out, workshop.out.with_name(f"out_{number}")
    try:
        workshop.assert_complete(names)
    finally:
        workshop.out = before


@pytest.mark.parametrize("number", range(3))
def test_two_first_runs_at_once_in_a_fresh_clone(number: int, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    for done in run_at_once(workshop, (), ()):
        assert done.status == 0, done.stderr
    for out in (0, 1):
        look_at(workshop, out, TINY_VARIANTS)
    assert len(workshop.recorded()) == 1, "one training is recorded once"


def test_four_runs_at_once_with_overlapping_variants(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.run()
    sweeps = ("1,2,3", "1,4", "2,3,4", "1,2,3,4")
    names = [variants_of(ranks) for ranks in sweeps]
    done = run_at_once(workshop, *(("--svd_ranks", ranks) for ranks in sweeps))
    assert [each.status for each in done] == [0] * 4, [each.stderr for each in done]
    for number, expected in enumerate(names):
        look_at(workshop, number, expected)
    (children,) = workshop.recorded().values()
    assert set(children) == set.union(*names)


def test_a_run_while_mlflow_ui_reads(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    workshop.run()
    asked = 0
    with mlflow_server(workshop) as server, ThreadPoolExecutor(1) as pool:
        run = pool.submit(workshop.run, "--svd_ranks", "1,2,3,4", check=False)
        question = urllib.request.Request(
            f"{server.url}/api/2.0/mlflow/runs/search",
            b'{"experiment_ids": ["1"], "max_results": 100}',
            {"Content-Type": "application/json"},
        )
        while not run.done():
            with urllib.request.urlopen(question, timeout=60) as answer:
                asked += answer.status == 200
            time.sleep(0.05)
    assert run.result().status == 0, run.result().stderr
    assert asked > 10
    workshop.assert_complete(
        {"baseline", "arsvd_tau_0.5", "arsvd_tau_0.8", *(f"svd_rank_{rank}" for rank in range(1, 5))}
    )
