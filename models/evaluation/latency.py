"""How long networks take for one image, beside each other: all of them in turn, round after round.

Times of different moments do not compare: what else the machine does and its clock rate change all the time. So each
round times every network, in an order of its own, and what is compared are times of the same rounds.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.evaluation.cost import one_image
from models.evaluation.results import Latency, Machine
from models.unet_inference import for_inference
from torch_lowrank.progress import tracked

_SECONDS = 2.0  # a network, unless so many rounds take longer
_BLOCK_SECONDS = 0.1  # of passes in a row
_MAX_PASSES = 5  # in such a block
_MIN_ROUNDS, _MAX_ROUNDS = 15, 200
# The bootstrap of a lower decile is too narrow with few rounds: of fifteen, its 99 % interval holds in 95 % of cases.
_PERCENTILES, _RESAMPLES = (0.005, 0.995), 2_000


def time_in_turns(
    networks: Mapping[str, nn.Module],
    input_shape: tuple[int, int, int],
    device: str | torch.device,
    seconds: float = _SECONDS,
    threads: int = 1,
) -> dict[str, Latency]:
    """Times forward passes of one image, of all networks in turn.

    Each network is prepared by `for_inference` (BatchNorm folded, channels_last), and runs in float32 and inference
    mode. Threads wait for each other at every layer, the longer the more cores are busy, so that ratios of several
    threads are those of an idle machine alone; those of one thread hold beside other work. In a round, a network runs
    some passes in a row; of all its passes the lower decile counts. Where another process takes a core away, a pass
    waits for milliseconds whatever the network is, and medians of all passes would make networks alike; the fastest
    pass is a matter of luck. Networks of the same structure take the same time, and are timed as one.

    All networks lie in memory together, and a copy of each structure beside them.

    Args:
        networks: Name to network, first the one that the others are compared to; they are not changed.
        input_shape: (channels, height, width) of one image.
        device: Device to compute on.
        seconds: How long to time each structure, about; longer where fifteen rounds take longer.
        threads: CPU threads to compute with.

    Returns:
        Name to latency: the ratio of deciles, with a 95 % interval from the bootstrap over rounds.

    Raises:
        ValueError: `input_shape` is not (C, H, W).
    """
    image = one_image(input_shape, torch.device(device)).contiguous(memory_format=torch.channels_last)
    structures: dict[str, str] = {}
    deployed: dict[str, nn.Module] = {}
    for name, network in networks.items():
        copy = for_inference(network)
        structures[name] = _structure(copy)
        if structures[name] not in deployed:
            deployed[structures[name]] = copy.to(device)
    calls = {structure: _call(network, image) for structure, network in deployed.items()}
    found = time_calls_in_turns(calls, this_machine(device, threads), seconds)
    return {name: found[structures[name]] for name in networks}


def time_calls_in_turns(
    calls: Mapping[str, Callable[[], object]], machine: Machine, seconds: float = _SECONDS
) -> dict[str, Latency]:
    """Times whatever computes the same, of any library, in turn; as `time_in_turns` does.

    Args:
        calls: Name to a pass, which returns when it is done; first the one that the others are compared to.
        machine: Where they compute; torch does so with this many threads.
        seconds: How long to time each, about; longer where fifteen rounds take longer.

    Returns:
        Name to latency: the ratio of deciles, with a 95 % interval from the bootstrap over rounds.
    """
    with _threads(machine.threads):
        rounds = _timed(calls, seconds)
    first = next(iter(rounds.values()))
    return {name: _latency(values, first, machine) for name, values in rounds.items()}


def this_machine(device: str | torch.device, threads: int) -> Machine:
    """Returns what times on a device of this machine with so many CPU threads depend on."""
    cuda = torch.device(device).type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else _processor()
    return Machine(name, os.cpu_count() or 1, threads)


def _structure(network: nn.Module) -> str:
    """Returns what a network's time depends on: its layers and the shapes of its weights, and not their values."""
    shapes = [(name, tuple(value.shape), str(value.dtype)) for name, value in network.state_dict().items()]
    return f"{network} {shapes}"


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.inference_mode()
def _timed(calls: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, np.ndarray]:
    """Returns the seconds of each pass (rounds, passes), by name."""
    slowest = max(min(_block(call, 2)) for call in calls.values())
    passes = min(_MAX_PASSES, math.ceil(_BLOCK_SECONDS / slowest))
    start = time.perf_counter()
    for call in calls.values():  # a round to warm up, which says how many there is time for
        _block(call, passes)
    affordable = seconds * len(calls) / (time.perf_counter() - start)
    rounds = min(_MAX_ROUNDS, max(_MIN_ROUNDS, round(affordable)))
    chance, order = random.Random(0), list(calls)  # noqa: S311 - no secret
    found: dict[str, list[list[float]]] = {name: [] for name in calls}
    for _ in tracked(range(rounds), "time networks"):
        chance.shuffle(order)
        for name in order:
            found[name].append(_block(calls[name], passes))
    return {name: np.array(values) for name, values in found.items()}


def _call(network: nn.Module, image: Tensor) -> Callable[[], object]:
    """Returns a forward pass, which ends when the device has computed it."""

    def call() -> None:
        network(image)
        if image.is_cuda:
            torch.cuda.synchronize(image.device)

    return call


def _block(call: Callable[[], object], passes: int) -> list[float]:
    """Returns the seconds of some passes in a row."""
    took = []
    for _ in range(passes):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return took


def _latency(seconds: np.ndarray, of_baseline: np.ndarray, machine: Machine) -> Latency:
    """Returns the ratio of lower deciles of all passes, and its interval from the bootstrap over rounds, in pairs."""
    drawn = np.random.default_rng(0).integers(len(seconds), size=(_RESAMPLES, len(seconds)))
    ratios = _fast(seconds[drawn]) / _fast(of_baseline[drawn])
    low, high = np.quantile(ratios, _PERCENTILES)
    took = float(_fast(seconds))
    return Latency(1e3 * took, took / float(_fast(of_baseline)), float(low), float(high), machine)


def _fast(seconds: np.ndarray) -> np.ndarray:
    """Returns the lower decile of passes: on a machine that does much else, most of them are disturbed."""
    return np.quantile(seconds, 0.1, axis=(-2, -1))


def _processor() -> str:
    """Returns the name of the processor, from Linux where it says so."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
