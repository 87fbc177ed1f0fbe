"""The machine is watched while a block runs, and never in its way."""

import json
import threading
import time

import pytest

from tracking.pages import machine_load
from tracking.pages.machine_load import MachineLoad


class Monitor:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def collect_metrics(self) -> None:
        self.asked += 1

    def aggregate_metrics(self) -> dict[str, float]:
        return {"asked": float(self.asked)}

    def clear_metrics(self) -> None: ...


def wait_for_samples(load: MachineLoad, number: int) -> None:
    for _ in range(30_000):
        if len(load.samples) >= number:
            return
        time.sleep(0.001)
    pytest.fail(f"{len(load.samples)} samples instead of {number}")


def test_processor_memory_and_disk_are_sampled_until_the_block_ends() -> None:
    with MachineLoad(0.01) as load:
        wait_for_samples(load, 2)
    kept = len(load.samples)
    names = {"cpu_utilization_percentage", "system_memory_usage_megabytes", "disk_usage_percentage"}
    assert all(sample.keys() >= {"time_ms", *names} for sample in load.samples)
    assert load.samples[0]["time_ms"] <= load.samples[-1]["time_ms"]
    assert "machine load" not in {thread.name for thread in threading.enumerate()}
    assert len(load.samples) == kept
    columns = load.columns()
    assert columns.keys() >= {"time_ms", *names}
    assert {len(values) for values in columns.values()} == {kept}


def test_a_long_training_has_samples_at_longer_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_load, "_monitors", lambda: [Monitor()])
    monkeypatch.setattr(machine_load, "_MOST", 4)
    load = MachineLoad(0.001)
    with load:
        for _ in range(30_000):
            if load.samples and load.samples[-1]["asked"] > 10:
                break
            time.sleep(0.001)
    asked = [sample["asked"] for sample in load.samples]
    assert len(asked) <= 4
    assert asked[0] == 1, "the first stays"
    assert asked[-1] > 10


@pytest.mark.parametrize("gpus", [0, 8, 64])
def test_what_is_kept_is_well_below_what_a_database_takes(gpus: int) -> None:
    load = MachineLoad()
    names = ["cpu", *(f"gpu_{number}_{of}" for number in range(gpus) for of in ("memory", "power", "utilization"))]
    load.samples = [
        {"time_ms": 1_700_000_000_000 + taken, **dict.fromkeys(names, 1 / 3 + taken)} for taken in range(60)
    ]
    columns = load.columns()
    assert len(json.dumps(columns)) <= 32_000
    assert columns["time_ms"][0] == 1_700_000_000_000, "times are exact, and the first stays"
    assert columns["cpu"][:1] == [0.3333]
    assert {len(values) for values in columns.values()} == {60 if gpus < 64 else 15}


def test_without_psutil_nothing_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_load, "find_spec", lambda name: None)
    with MachineLoad(0.001) as load:
        time.sleep(0.05)
    assert load.columns() == {}


def test_a_machine_that_cannot_be_watched_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Monitor]:
        raise RuntimeError("no such driver")

    monkeypatch.setattr(machine_load, "_monitors", broken)
    with MachineLoad(0.001) as load:
        time.sleep(0.05)
    assert load.samples == []


def test_an_error_of_the_block_is_its_own() -> None:
    with pytest.raises(ValueError, match="of the training"), MachineLoad(0.001):
        raise ValueError("of the training")
