"""Times a sweep of six variants against a plain baseline that repeats the decomposition for each variant.

Network: the 64-filter U-Net for colour images, 13,391,361 parameters. Variants: ranks 16, 32, 64; taus 0.85, 0.9, 0.95.
Baseline: `numpy.linalg.svd` of every convolution for every variant, on the CPU, in the weights' float32.

Both run on one thread unless OMP_NUM_THREADS says otherwise: on a machine that is not idle, NumPy's OpenBLAS was seen
to take twenty times as long on two threads as on one.

    python benchmarks/sweep.py                  # the CPU: benchmarks/results/sweep_cpu.json and docs/engine.md
    python benchmarks/sweep.py --device cuda    # CUDA: sweep_cuda.json, with every SVD driver, and docs/engine.md
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch load

import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.pages import write_result, write_section  # noqa: E402
from models.unet import UNet  # noqa: E402
from torch_lowrank.compression import compress  # noqa: E402
from torch_lowrank.decomposition import svd  # noqa: E402
from torch_lowrank.decomposition.decompose import decompose  # noqa: E402
from torch_lowrank.ranks.rules import Entropy, FixedRank, LayerRule  # noqa: E402

RULES: list[LayerRule] = [*map(FixedRank, (16, 32, 64)), *map(Entropy, (0.85, 0.9, 0.95))]
DRIVERS = (None, "gesvd", "gesvdj", "gesvda")


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--base_filters", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5, help="of ours; the median counts (the baseline runs once)")
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    result = measure(arguments.device, arguments.base_filters, arguments.repeats)
    print(json.dumps(result, indent=2))
    if not arguments.dry_run:
        write_result(f"sweep_{arguments.device}", result)
        write_table(arguments.device, result)


def measure(device: str, base_filters: int, repeats: int) -> dict[str, Any]:
    """Returns seconds and parameter counts of both ways."""
    torch.manual_seed(0)
    network = UNet(3, 1, base_filters)
    run_ours(UNet(3, 1, 4), device)  # loads libraries
    run_baseline(UNet(3, 1, 4))
    ours = [run_ours(network, device) for _ in range(repeats)]
    result: dict[str, Any] = {
        "network": f"UNet(3, 1, {base_filters})",
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
        "ours": {
            "decomposition_s": statistics.median(run["decomposition_s"] for run in ours),
            "compression_s": statistics.median(run["compression_s"] for run in ours),
            "params": ours[0]["params"],
        },
        "baseline": run_baseline(network),
    }
    for run in (result["ours"], result["baseline"]):
        run["total_s"] = run["decomposition_s"] + run["compression_s"]
    result["times_faster"] = result["baseline"]["total_s"] / result["ours"]["total_s"]
    if device == "cuda":
        result["one_decomposition_s"] = {"cpu": run_ours(network, "cpu")["decomposition_s"], **time_drivers(network)}
    return result


def run_ours(network: nn.Module, device: str) -> dict[str, Any]:
    """One decomposition, six compressions."""
    network = network.to(device)
    spectra, decomposition_s = timed(lambda: decompose(network, device=device), device)
    compression_s, params = 0.0, []
    for rule in RULES:
        result, seconds = timed(lambda rule=rule: compress(network, rule, spectra=spectra), device)  # type: ignore[misc]
        compression_s += seconds
        params.append(count(result.network))
    network.cpu()
    return {"decomposition_s": decomposition_s, "compression_s": compression_s, "params": params}


def run_baseline(network: nn.Module) -> dict[str, Any]:
    """Decomposes every convolution and replaces it by two thinner ones, six times."""
    seconds = {"decomposition_s": 0.0, "compression_s": 0.0}
    params = []
    for rule in RULES:
        start = time.perf_counter()
        smaller = copy.deepcopy(network)
        seconds["compression_s"] += time.perf_counter() - start
        for name, layer in list(smaller.named_modules()):
            if isinstance(layer, nn.Conv2d):
                start = time.perf_counter()
                u, s, vt = np.linalg.svd(layer.weight.detach().flatten(1).numpy(), full_matrices=False)
                middle = time.perf_counter()
                replace_plainly(smaller, name, layer, rule.rank(torch.from_numpy(s).double()), (u, s, vt))
                seconds["decomposition_s"] += middle - start
                seconds["compression_s"] += time.perf_counter() - middle
        params.append(count(smaller))
    return {**seconds, "params": params}


def replace_plainly(network: nn.Module, name: str, layer: nn.Conv2d, rank: int, parts: tuple[np.ndarray, ...]) -> None:
    """Replaces a convolution by two, if that is smaller."""
    u, s, vt = parts
    if rank * (u.shape[0] + vt.shape[1]) >= layer.weight.numel():
        return
    first = nn.Conv2d(layer.in_channels, rank, layer.kernel_size, layer.stride, layer.padding, bias=False)  # type: ignore[arg-type]
    second = nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None)
    first.weight.data = torch.from_numpy((s[:rank, None] * vt[:rank]).reshape(first.weight.shape))
    second.weight.data = torch.from_numpy(u[:, :rank].reshape(second.weight.shape).copy())
    if layer.bias is not None:
        second.bias.data = layer.bias.data.clone()  # type: ignore[union-attr]
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Sequential(first, second))


def time_drivers(network: nn.Module) -> dict[str, float]:
    """Seconds of one decomposition on CUDA by each driver of `torch.linalg.svd`."""
    seconds, default = {}, svd.CUDA_DRIVER
    try:
        for driver in DRIVERS:
            svd.CUDA_DRIVER = driver
            run_ours(network, "cuda")
            seconds[f"cuda {driver or 'default'}"] = run_ours(network, "cuda")["decomposition_s"]
    finally:
        svd.CUDA_DRIVER = default
    return seconds


def timed(work: Callable[[], Any], device: str) -> tuple[Any, float]:
    """Returns the result of a function and the seconds it took; the device is synchronised before and after."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    done = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return done, time.perf_counter() - start


def count(network: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def write_table(device: str, result: dict[str, Any]) -> None:
    """Replaces the device's table in the documentation."""
    lines = [
        f"{result['network']} on {result['device']}, threads: {result['threads']}, torch {result['torch']}, "
        f"numpy {result['numpy']}; seconds for six variants.",
        "",
        "| | decomposition | compression | total |",
        "|---|---|---|---|",
    ]
    for title, key in (
        ("one decomposition for all (ours)", "ours"),
        ("one for each, `numpy.linalg.svd`, on the CPU", "baseline"),
    ):
        run = result[key]
        lines.append(f"| {title} | {run['decomposition_s']:.2f} | {run['compression_s']:.2f} | {run['total_s']:.2f} |")
    lines += ["", f"**{result['times_faster']:.1f} times faster.**"]
    if "one_decomposition_s" in result:
        lines += ["", "| one decomposition on | seconds |", "|---|---|"]
        lines += [f"| {name} | {seconds:.3f} |" for name, seconds in result["one_decomposition_s"].items()]
    write_section("engine.md", f"sweep {device}", lines)


if __name__ == "__main__":
    main()
