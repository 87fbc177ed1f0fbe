"""Times compressed networks against the dense one: one image at a time, and in batches.

Networks: the dense U-Net, and what is left of it at 25 % and 12.5 % of the parameters or of the multiply-accumulates,
by plain SVD (channel and spatial scheme, the one rank that fits), and by our budgets. Weights are random for the
64-filter network, as time does not depend on them; ranks of our budgets do, and are those of a trained network, which
`benchmarks/gpu.py` has left in results/trained_ranks.json.

Modes: `plain` is PyTorch eager, float32, as a network comes from its constructor; `channels_last` the same in that
layout; `deployed` is `models.unet_inference.for_inference`. All in inference mode. `--more bf16,compile,onnx` adds
others.

Each mode of each network runs once a round, in turn; medians over rounds. Times are processor seconds of one thread:
what other programs on the machine take does not count, so that ratios hold on one that is not idle.

    python benchmarks/latency.py                  # 64 filters, 256x256: results/latency_64.json, docs/performance.md
    python benchmarks/latency.py --weights unet16_gray128.safetensors --image_size 128    # latency_16.json
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.pages import machine, read_result, write_result, write_section  # noqa: E402
from models.checkpoint import load_checkpoint  # noqa: E402
from models.evaluation.cost import macs  # noqa: E402
from models.unet import UNet  # noqa: E402
from models.unet_inference import for_inference  # noqa: E402
from torch_lowrank.compression import compress  # noqa: E402
from torch_lowrank.decomposition.decompose import decompose  # noqa: E402
from torch_lowrank.decomposition.spectra import Spectra  # noqa: E402
from torch_lowrank.layers.factorized import LowRank, count_parameters, replace_layers  # noqa: E402
from torch_lowrank.ranks.budgets import MacBudget, ParameterBudget  # noqa: E402
from torch_lowrank.ranks.rules import FixedRank  # noqa: E402

SHARES = (0.25, 0.125)
MODES = ("plain", "channels_last", "deployed")
METHODS = {"svd": "channel", "spatial": "spatial"}  # and the scheme of their spectra
Run = Callable[[Tensor], Any]


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a U-Net's state dict; random weights of 64 filters without")
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=4, help="of images a second")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--more", default="", help="of bf16, compile and onnx, for the dense and the fastest network")
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    dense = load_checkpoint(arguments.weights) if arguments.weights else UNet(3, 1, 64)
    result = measure(dense.eval(), arguments)
    print(json.dumps(result, indent=2))
    if not arguments.dry_run:
        filters = dense.arguments["base_filters"]
        write_result(f"latency_{filters}", result)
        if filters == 64:
            write_section("performance.md", "latency", table(result))


def measure(dense: UNet, arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns milliseconds of every network in every mode."""
    shape = (dense.arguments["in_channels"], arguments.image_size, arguments.image_size)
    networks = {"dense": dense, **compressed(dense, shape)}
    image = torch.randn(1, *shape)
    runs = {(name, mode): prepared(network, mode) for name, network in networks.items() for mode in MODES}
    latency = medians(runs, image, arguments.rounds)
    fastest = min(networks, key=lambda name: latency[name, "deployed"])
    more = [mode for mode in arguments.more.split(",") if mode]
    extra = {(name, mode): prepared(networks[name], mode, image) for name in ("dense", fastest) for mode in more}
    extra |= {(name, "deployed"): runs[name, "deployed"] for name in ("dense", fastest) if extra}
    batch = torch.randn(arguments.batch_size, *shape)
    in_batches = {key: run for key, run in runs.items() if key[1] == "deployed" or key == ("dense", "plain")}
    batches = medians(in_batches, batch, max(1, arguments.rounds // 2))
    others = medians(extra, image, arguments.rounds)
    total, work = count_parameters(dense), macs(dense, shape)
    return {
        "network": f"{described(dense)} at {shape[1]}x{shape[2]}",
        **machine(),
        "networks": {
            name: {
                "params": count_parameters(network) / total,
                "macs": macs(network, shape) / work,
                "latency_ms": {mode: latency[name, mode] for mode in MODES},
                "images_per_s": {
                    mode: 1e3 * len(batch) / batches[name, mode] for mode in MODES if (name, mode) in batches
                },
            }
            for name, network in networks.items()
        },
        "others_ms": {f"{name} {mode}": value for (name, mode), value in others.items()},
    }


def compressed(dense: UNet, shape: tuple[int, int, int]) -> dict[str, nn.Module]:
    """Returns the compressed networks by method, share and kind of budget."""
    networks = {}
    one_rank = FixedRank(1)  # which the budget solves
    for method, scheme in METHODS.items():
        spectra = decompose(dense, scheme)
        for share in SHARES:
            budgets = {
                "parameters": ParameterBudget(share, one_rank),
                "MACs": MacBudget(share, shape, one_rank),
            }
            for what, budget in budgets.items():
                networks[f"{method}, {100 * share:g} % of {what}"] = compress(
                    dense, budget, spectra=spectra
                ).network.eval()
    return {**networks, **by_our_budgets(dense, shape)}


def by_our_budgets(dense: UNet, shape: tuple[int, int, int]) -> dict[str, nn.Module]:
    """Returns networks by budgets, with the ranks of a trained network of this kind or of this network."""
    spectra, kept = decompose(dense, "auto"), read_result("trained_ranks")
    if {"network": described(dense), "side": shape[1]}.items() <= kept.items():
        return {name.replace("_", " "): with_ranks(dense, spectra, ranks) for name, ranks in kept["ranks"].items()}
    return {
        f"budget {share}": compress(dense, ParameterBudget(share), spectra=spectra).network.eval() for share in SHARES
    }


def described(network: UNet) -> str:
    """Returns a description of how a network was made, for the results."""
    made = network.arguments
    return f"UNet({made['in_channels']}, {made['classes']}, {made['base_filters']})"


def with_ranks(dense: nn.Module, spectra: Spectra, ranks: dict[str, tuple[str, int]]) -> nn.Module:
    """Returns a network whose layers are factorised by these schemes to these ranks."""
    replaced: dict[nn.Module, nn.Module] = {}
    for name, (scheme, rank) in ranks.items():
        spectrum = next(each for each in spectra.options(name) if each.scheme == scheme)
        layer = dense.get_submodule(name)
        if rank > spectrum.full_rank:
            raise ValueError(f"{name} cannot have rank {rank}: the ranks are of another network")
        replaced[layer] = LowRank.from_factors(layer, scheme, spectrum.left[:, :, :rank], spectrum.right[:, :rank])
    return replace_layers(dense, replaced).eval()


def prepared(network: nn.Module, mode: str, image: Tensor | None = None) -> Run:
    """Returns the network prepared for a mode."""
    if mode == "plain":
        return network
    if mode == "channels_last":
        return in_layout(copy.deepcopy(network).to(memory_format=torch.channels_last))
    deployed = for_inference(network)
    if mode == "deployed":
        return in_layout(deployed)
    if mode == "bf16":
        half = in_layout(deployed.bfloat16())
        return lambda batch: half(batch.bfloat16())
    if mode == "compile":
        return in_layout(torch.compile(deployed))  # type: ignore[arg-type]
    if mode == "onnx":
        return onnx_session(network, image)
    raise ValueError(f"--more names {mode!r}; give some of bf16, compile, onnx")


def in_layout(network: nn.Module) -> Run:
    """Returns a network that converts its images to channels_last."""
    return lambda batch: network(batch.contiguous(memory_format=torch.channels_last))


def onnx_session(network: nn.Module, image: Tensor | None) -> Run:
    """Returns ONNX Runtime's session of a network, with its own fusions."""
    import onnxruntime  # noqa: PLC0415 - not among the requirements

    file, options = io.BytesIO(), onnxruntime.SessionOptions()
    torch.onnx.export(network, (image,), file, input_names=["image"], dynamo=False)
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file.getvalue(), options)
    return lambda batch: session.run(None, {"image": batch.numpy()})


def medians(runs: dict[tuple[str, str], Run], images: Tensor, rounds: int) -> dict[tuple[str, str], float]:
    """Returns processor milliseconds of one call a thread, of all functions, run in turn."""
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    with torch.inference_mode():
        for turn in range(rounds + 1):  # the first warms up
            for key, run in runs.items():
                start = time.process_time()
                run(images)
                if turn:
                    seconds[key].append((time.process_time() - start) / torch.get_num_threads())
    return {key: 1e3 * statistics.median(values) for key, values in seconds.items()}


def table(result: dict[str, Any]) -> list[str]:
    """Returns the section of the documentation."""
    dense = result["networks"]["dense"]["latency_ms"]
    lines = [
        f"{result['network']}, one image, threads: {result['threads']}, {result['device']}, torch {result['torch']}: "
        "processor milliseconds, and how many times less than the dense network takes in the same mode and in `plain`.",
        "",
        "| network | parameters | MACs | plain | channels_last | deployed | times same mode | times plain | images/s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, each in result["networks"].items():
        took = each["latency_ms"]
        lines.append(
            f"| {name} | {100 * each['params']:.1f} % | {100 * each['macs']:.1f} % | {took['plain']:.0f} "
            f"| {took['channels_last']:.0f} | {took['deployed']:.0f} | {dense['deployed'] / took['deployed']:.1f} "
            f"| {dense['plain'] / took['deployed']:.1f} | {each['images_per_s']['deployed']:.1f} |"
        )
    if result["others_ms"]:
        others = "; ".join(f"{name} {value:.0f}" for name, value in result["others_ms"].items())
        lines += ["", f"Other ways to run, in the same unit: {others}."]
    return lines


if __name__ == "__main__":
    main()
