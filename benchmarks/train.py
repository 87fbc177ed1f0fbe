"""Training of the U-Net: images a second and peak memory against a plain loop, and how the time grows.

    python benchmarks/train.py                         # 64 filters, 256x256: some ten minutes on two cores
    python benchmarks/train.py --parts throughput --base_filters 16 --image_size 128 --dry_run
    python benchmarks/train_quality.py                 # the Dice that both reach; its figures enter the table here

Ours is `models.training.fit.fit` with the defaults of the project, plain is benchmarks/plain_training.py: the same
network, images and validation; a third way is ours with `cpu_weight_gradients="torch"`. Each round trains one epoch
each way, in a process of its own; the median round counts. On a machine with other work, only processor seconds can be
compared, and only with --threads 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.pages import RESULTS, machine, write_result, write_section  # noqa: E402
from benchmarks.plain_training import PlainTraining  # noqa: E402
from benchmarks.recipe import RECIPE  # noqa: E402
from benchmarks.train_quality import summarise  # noqa: E402
from dataset.store import Split  # noqa: E402
from models.evaluation.evaluate import evaluate  # noqa: E402
from models.preprocessing import Preprocessing  # noqa: E402
from models.training.fit import fit  # noqa: E402
from models.training.options import TrainingOptions, WeightGradients  # noqa: E402
from models.unet import UNet  # noqa: E402

PREPROCESSING = Preprocessing(mean=0.18, std=0.18)
PARTS = ("throughput", "scaling")
WAYS = ("plain", "torch_gradients", "ours")
TITLES = {"plain": "plain", "torch_gradients": "ours, with torch's weight gradients", "ours": "ours"}
GROWTH = {"image_size": (64, 128, 256), "base_filters": (16, 32, 64), "images": (16, 32, 64)}
FIXED = {"image_size": 128, "base_filters": 16, "images": 16, "batch_size": 4, "threads": 1}


class Noise(Split):
    """Random images with random masks, in memory."""

    def __init__(self, number: int, size: int) -> None:
        random = np.random.default_rng(0)
        self.images = random.integers(0, 256, (number, size, size, 1), dtype=np.uint8)
        self.masks = (random.random((number, size, size)) > 0.9).astype(np.uint8)


def main() -> None:
    """Measures, and writes results and table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base_filters", type=int, default=64)
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--images", type=int, default=8, help="that an epoch trains on")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    parser.add_argument("--worker", choices=WAYS, help="train one epoch that way, and print what it took")
    arguments = parser.parse_args()
    setting = {
        key: getattr(arguments, key) for key in ("base_filters", "image_size", "batch_size", "images", "threads")
    }
    if arguments.worker:
        print(json.dumps(train_once(arguments.worker, setting)))
        return
    file = RESULTS / "train.json"
    result: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    result["machine"] = machine()
    if "throughput" in arguments.parts:
        result["throughput"] = {**setting, **throughput(setting, arguments.rounds)}
    if "scaling" in arguments.parts:
        result["scaling"] = scaling(arguments.rounds)
    print(json.dumps(result, indent=2))
    if not arguments.dry_run:
        write_result("train", result)
        write_section("performance.md", "train", table(result))


def throughput(setting: dict[str, int], rounds: int) -> dict[str, Any]:
    """Returns seconds of an epoch and peak memory of all ways, measured in turn."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, taken in runs.items():
            taken.append(in_a_process(way, setting))
    medians = {
        way: {key: statistics.median(run[key] for run in taken) for key in taken[0]} for way, taken in runs.items()
    }
    times = {
        key: [one[key] / other[key] for one, other in zip(runs["plain"], runs["ours"], strict=True)]
        for key in ("seconds", "processor_seconds")
    }
    return {
        "rounds": runs,
        **medians,
        "times_faster": {key: statistics.median(values) for key, values in times.items()},
    }


def scaling(rounds: int) -> dict[str, Any]:
    """Returns the power of each quantity with which the processor seconds of an epoch grow."""
    found = {}
    for name, values in GROWTH.items():
        settings = [{**FIXED, name: value} for value in values]
        seconds = [[in_a_process("ours", setting)["processor_seconds"] for setting in settings] for _ in range(rounds)]
        medians = [statistics.median(column) for column in zip(*seconds, strict=True)]
        slope = np.polyfit(np.log(values), np.log(medians), 1)[0]
        found[name] = {"values": values, "processor_seconds": medians, "exponent": float(slope)}
    return found


def in_a_process(way: str, setting: dict[str, int]) -> dict[str, float]:
    """Trains in a new process, so that its peak memory can be measured."""
    flags = [part for key, value in setting.items() for part in (f"--{key}", str(value))]
    command = [sys.executable, __file__, "--worker", way, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - this file
    return json.loads(done.stdout.splitlines()[-1])


def train_once(way: str, setting: dict[str, int]) -> dict[str, float]:
    """Trains one epoch to warm up and one that is measured, each with validation on a quarter of the images."""
    torch.set_num_threads(setting["threads"])
    our_epochs(UNet(1, 1, 4), Noise(4, 32), Noise(2, 32), dataclasses.replace(RECIPE, batch_size=2))  # loads libraries
    torch.manual_seed(0)
    network = UNet(1, 1, setting["base_filters"], dropout=0.5)
    train = Noise(setting["images"], setting["image_size"])
    valid = Noise(math.ceil(setting["images"] / 4), setting["image_size"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if way == "plain":
        epochs = plain_epochs(network, train, valid, setting["batch_size"])
    else:
        gradients: WeightGradients = "torch" if way == "torch_gradients" else "winograd"
        options = dataclasses.replace(RECIPE, batch_size=setting["batch_size"], cpu_weight_gradients=gradients)
        epochs = our_epochs(network, train, valid, options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**epochs, "peak_memory_mb": (peak - before) / 1024}


def plain_epochs(network: UNet, train: Split, valid: Split, batch_size: int) -> dict[str, float]:
    """The plain loop."""
    training = PlainTraining(network, train, PREPROCESSING, batch_size, seed=0)
    clocks = []
    for _ in range(2):
        clocks.append((time.perf_counter(), time.process_time()))
        training.epoch()
        options = {"classes": 1, "batch_size": batch_size, "device": "cpu"}
        evaluate(network, valid.images, valid.masks, PREPROCESSING, **options)  # type: ignore[arg-type]
    return elapsed(clocks[1])


def our_epochs(network: UNet, train: Split, valid: Split, options: TrainingOptions) -> dict[str, float]:
    """Measures `fit`: two epochs less one, so that the time to start is left out, as it is for the plain loop."""
    taken = []
    for epochs in (1, 2):
        start = time.perf_counter(), time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            fit(
                network,
                train,
                valid,
                PREPROCESSING,
                dataclasses.replace(options, epochs=epochs),
                classes=1,
                checkpoint_dir=Path(folder),
                device="cpu",
            )
        taken.append(elapsed(start))
    return {key: taken[1][key] - taken[0][key] for key in taken[0]}


def elapsed(start: tuple[float, float]) -> dict[str, float]:
    """Returns the wall-clock seconds and the processor seconds since `start`."""
    return {"seconds": time.perf_counter() - start[0], "processor_seconds": time.process_time() - start[1]}


def table(result: dict[str, Any]) -> list[str]:
    """Returns the section of docs/performance.md."""
    about, lines = result["machine"], []
    if "throughput" in result:
        part = result["throughput"]
        lines += [
            f"U-Net of {part['base_filters']} filters at {part['image_size']}x{part['image_size']}, batch "
            f"{part['batch_size']}, on {about['device']}, threads: {part['threads']}, torch {about['torch']}; "
            f"an epoch of {part['images']} images with validation, median of {len(part['rounds']['plain'])} rounds.",
            "",
            "| | processor seconds an image | peak memory (MB) |",
            "|---|---|---|",
        ]
        for way in part["rounds"]:
            run = part[way]
            work = run["processor_seconds"] / part["images"]
            lines.append(f"| {TITLES[way]} | {work:.2f} | {run['peak_memory_mb']:.0f} |")
        times = part["times_faster"]["processor_seconds"]
        lines += ["", f"**{times:.2f} times less work than the plain loop's in the same round (median).**"]
    for file in sorted(RESULTS.glob("train_quality_*.json")):
        lines += quality(json.loads(file.read_text()))
    if "scaling" in result:
        lines += ["", "| an epoch's time grows with | exponent |", "|---|---|"]
        lines += [f"| {name} {part['values']} | {part['exponent']:.2f} |" for name, part in result["scaling"].items()]
    return lines


def quality(result: dict[str, Any]) -> list[str]:
    """Returns the table of Dice."""
    summary = summarise(result["runs"])
    lines = [
        "",
        f"Best validation Dice in {result['epochs']} epochs on the brain tumor data at {result['image_size']}x"
        f"{result['image_size']}, {result['filters']} filters, batch {result['batch']}:",
        "",
        "| | Dice by seed | processor seconds to 0.70 |",
        "|---|---|---|",
    ]
    for way, values in summary["best_dice"].items():
        seconds = [f"{value:.0f}" if value else "not reached" for value in summary["seconds_to_goal"].get(way, [])]
        lines.append(f"| {way} | {', '.join(f'{value:.3f}' for value in values)} | {', '.join(seconds)} |")
    for name, found in summary.items():
        if " - " in name:
            lines += [
                "",
                f"{name}: {found['mean']:+.3f} ± {found['half_width']:.3f} (95 %, Student's t over the seeds).",
            ]
    return lines


if __name__ == "__main__":
    main()
