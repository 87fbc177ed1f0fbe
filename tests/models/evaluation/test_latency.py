"""Times in turn: what decides a ratio and its interval, by clocks that are known."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.evaluation import latency
from models.evaluation.latency import time_in_turns
from models.evaluation.results import Latencies, Latency, Machine
from torch_lowrank.compression import compress
from torch_lowrank.ranks.rules import FixedRank

SHAPE = (1, 16, 16)


def layers(count: int) -> nn.Module:
    return nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(count)])


Clock = Callable[[Callable[[int, int], float]], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets what the passes of a block take, by the number of the network's layers and the number of the block."""

    def set_clock(seconds: Callable[[int, int], float]) -> None:
        blocks = iter(range(10**6))
        monkeypatch.setattr(latency, "_call", lambda network, image: network)
        monkeypatch.setattr(
            latency,
            "_block",
            lambda network, passes: [seconds(len(list(network.children())), next(blocks))] * passes,
        )

    return set_clock


def test_a_ratio_is_that_of_the_same_round_whatever_the_machine_does_meanwhile(clock: Clock) -> None:
    """It is three times as slow in one part of the rounds."""
    clock(lambda count, block: 1e-3 * count * (3 if block < 300 else 1))
    found = time_in_turns({"baseline": layers(4), "half": layers(2), "more": layers(5)}, SHAPE, "cpu", seconds=1e9)
    assert [each.ratio for each in found.values()] == pytest.approx([1, 0.5, 1.25])
    assert (found["half"].low, found["half"].high) == pytest.approx((0.5, 0.5))
    assert found["half"].differs
    assert not found["baseline"].differs


def test_rounds_that_were_disturbed_do_not_move_the_ratio(clock: Clock) -> None:
    chance = np.random.default_rng(0)
    clock(lambda count, block: 1e-3 * count * (9 if chance.random() < 0.2 else 1))
    half = time_in_turns({"baseline": layers(4), "half": layers(2)}, SHAPE, "cpu", seconds=1e9)["half"]
    assert half.ratio == pytest.approx(0.5)
    assert half.high < 1


def test_a_difference_within_the_noise_is_none(clock: Clock) -> None:
    chance = np.random.default_rng(1)
    clock(lambda count, block: 1e-3 * (1 + 0.001 * count) * chance.uniform(0.8, 1.2))
    more = time_in_turns({"baseline": layers(1), "more": layers(2)}, SHAPE, "cpu", seconds=1e9)["more"]
    assert more.low < 1 < more.high
    assert not more.differs
    assert more.judged == 1
    assert more.ratio != 1


@pytest.mark.parametrize(("rounds", "at_least"), [(15, 0.94), (40, 0.94)])
def test_intervals_hold_one_as_often_as_they_say_for_networks_that_take_as_long(rounds: int, at_least: float) -> None:
    """Of rounds that are disturbed in part, by other work on the machine."""
    chance, machine, held = np.random.default_rng(3), Machine("a processor", 2, 2), 0

    def draw() -> np.ndarray:
        disturbed = np.where(chance.random((rounds, 1)) < 0.4, chance.uniform(2, 6), 1)
        return chance.lognormal(0, 0.02, (rounds, 1)) * chance.lognormal(0, 0.01, (rounds, 5)) * disturbed

    for _ in range(300):
        held += not latency._latency(draw(), draw(), machine).differs
    assert at_least <= held / 300 <= 1


def test_networks_of_one_structure_have_one_time(clock: Clock) -> None:
    """The baseline with other weights, and ranks that inference fills up to the same number."""
    chance = np.random.default_rng(0)
    clock(lambda count, block: chance.uniform(1, 2))
    baseline = nn.Sequential(nn.Conv2d(32, 32, 3), nn.BatchNorm2d(32), nn.ReLU()).eval()
    other = copy.deepcopy(baseline)
    nn.init.normal_(other.get_submodule("0").weight)
    networks = {"baseline": baseline, "other": other}
    networks |= {f"rank {rank}": compress(baseline, FixedRank(rank)).network for rank in (3, 5, 12)}
    found = time_in_turns(networks, (32, 8, 8), "cpu", seconds=1e9)
    assert found["other"] == found["baseline"]
    assert (found["other"].ratio, found["other"].low, found["other"].high) == (1, 1, 1)
    assert found["rank 3"] == found["rank 5"] != found["rank 12"]


class Watched(nn.Module):
    """Counts its passes, and says after how many seconds on a clock each ends."""

    def __init__(self, seconds: list[float]) -> None:
        super().__init__()
        self.seconds = seconds
        self.now = 0.0

    def forward(self, image: Tensor) -> Tensor:
        self.now += self.seconds.pop(0)
        return image


def test_each_pass_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Watched([0.007, 0.002, 0.0065, 0.0021])
    monkeypatch.setattr("time.perf_counter", lambda: network.now)
    assert latency._block(latency._call(network, torch.zeros(1)), 4) == pytest.approx([0.007, 0.002, 0.0065, 0.0021])
    assert network.seconds == []


def test_neither_waiting_passes_nor_a_lucky_one_decide_the_time() -> None:
    """A pass that waits for a core takes milliseconds more, whatever the network is."""
    machine = Machine("a processor", 2, 2)
    usual = np.tile([0.009, 0.002, 0.009, 0.002, 0.002], (20, 1))
    lucky = usual.copy()
    lucky[3, 1] = 0.001
    assert latency._latency(lucky, 2 * usual, machine).ratio == pytest.approx(0.5)
    assert latency._latency(lucky, 2 * usual, machine).ms == pytest.approx(2)


def test_a_real_network_of_more_work_takes_longer_and_nothing_is_changed() -> None:
    threads, torch_state = torch.get_num_threads(), torch.is_inference_mode_enabled()
    other = 2 if threads == 1 else 1
    small, large = nn.Conv2d(16, 1, 1), nn.Sequential(*[nn.Conv2d(16, 16, 3) for _ in range(8)])
    large.train()
    before = copy.deepcopy(large.state_dict())
    found = time_in_turns({"large": large, "small": small}, (16, 96, 96), "cpu", seconds=0.02, threads=other)
    assert found["small"].ratio < 1
    assert found["small"].differs
    assert found["large"].ms > found["small"].ms > 0
    assert found["small"].machine.threads == other
    assert torch.get_num_threads() == threads
    assert found["small"].machine.device
    assert large.training
    assert torch.is_inference_mode_enabled() == torch_state
    assert all(torch.equal(value, before[key]) for key, value in large.state_dict().items())


def test_a_shape_with_a_batch_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match=r"give \(channels, height, width\)"):
        time_in_turns({"one": nn.Conv2d(1, 1, 1)}, (1, 1, 4, 4), "cpu")  # type: ignore[arg-type]


def test_latencies_survive_as_json() -> None:
    latencies = Latencies({"baseline": Latency(2.0, 1.0, 1.0, 1.0, Machine("a processor", 4, 2))})
    assert Latencies.from_dict(latencies.to_dict()) == latencies
    assert latencies.networks["baseline"].machine.title == "a processor, 2 threads"
