"""Validation Dice after equal epochs on real data: a plain loop, ours, and ours in two processes; several seeds.

    python benchmarks/train_quality.py                 # 64x64, 16 filters, 8 epochs, 3 seeds: half an hour on two cores
    python benchmarks/train_quality.py --image_size 128 --epochs 12

What is measured stays in benchmarks/results/train_quality_<size>.json, so that a second call goes on; --fresh begins
anew. Seconds are of the processor, without other programs' share, so that it may run beside other work. The table is
written by benchmarks/train.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.pages import RESULTS, machine, write_result  # noqa: E402
from benchmarks.plain_training import LEARNING_RATE, PlainTraining  # noqa: E402
from benchmarks.recipe import RECIPE  # noqa: E402
from dataset.ingest import IngestOptions, ingest  # noqa: E402
from dataset.store import Dataset  # noqa: E402
from models.evaluation.evaluate import evaluate  # noqa: E402
from models.preprocessing import Preprocessing  # noqa: E402
from models.training.fit import fit  # noqa: E402
from models.unet import UNet  # noqa: E402

DATA = ROOT.parent / "shared" / "data" / "brain_tumor"
WAYS = ("plain", "ours", "two processes")
PREPROCESSING = Preprocessing(mean=0.18, std=0.18)
BATCH, FILTERS, GOAL = 16, 16, 0.70
T_975 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571}  # Student's t of n - 1 degrees of freedom, by n


def main() -> None:
    """Runs the trainings that have no result yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_root", type=Path, default=DATA)
    parser.add_argument("--image_size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--fresh", action="store_true", help="forget what was measured")
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # processor time is then time
    name = f"train_quality_{arguments.image_size}"
    about = {key: getattr(arguments, key) for key in ("image_size", "epochs")} | {"filters": FILTERS, "batch": BATCH}
    result: dict[str, Any] = {**about, "machine": machine(), "runs": {}}
    file = RESULTS / f"{name}.json"
    if file.exists() and not arguments.fresh:
        stored = json.loads(file.read_text())
        if {key: stored[key] for key in about} != about:
            raise SystemExit(f"{file} is of other settings; use --fresh")
        result["runs"] = stored["runs"]
    with tempfile.TemporaryDirectory() as folder:
        size = (arguments.image_size, arguments.image_size)
        data = ingest(
            arguments.data_root,
            Path(folder) / "data",
            IngestOptions(size, 1, multi_class=False, skip_bad_samples=False, num_workers=2),
        )
        for seed in range(arguments.seeds):
            for way in arguments.ways:
                key = f"{way}, seed {seed}"
                if key not in result["runs"]:
                    result["runs"][key] = run(way, data, arguments.epochs, seed, Path(folder) / key)
                    print(key, json.dumps(result["runs"][key]), flush=True)
                    if not arguments.dry_run:
                        write_result(name, result)
    print(json.dumps(summarise(result["runs"]), indent=2))


def run(way: str, data: Dataset, epochs: int, seed: int, folder: Path) -> dict[str, Any]:
    """Trains once; returns the validation Dice of each epoch and the processor's seconds an epoch."""
    torch.manual_seed(seed)
    network = UNet(1, 1, FILTERS)
    start = time.process_time()
    curve = plain(network, data, epochs, seed) if way == "plain" else ours(way, network, data, epochs, seed, folder)
    return {"dice": curve, "seconds_an_epoch": (time.process_time() - start) / epochs}


def plain(network: UNet, data: Dataset, epochs: int, seed: int) -> list[float]:
    """The plain loop at Adam's own learning rate."""
    training = PlainTraining(network, data["train"], PREPROCESSING, BATCH, seed)
    curve = []
    for _ in range(epochs):
        training.epoch()
        valid = data["valid"]
        found = evaluate(network, valid.images, valid.masks, PREPROCESSING, classes=1, batch_size=BATCH, device="cpu")
        curve.append(found.metrics["dice"])
    return curve


def ours(way: str, network: UNet, data: Dataset, epochs: int, seed: int, folder: Path) -> list[float]:
    """Our training, with the options of configs/brain_tumor.yaml."""
    devices = 2 if way == "two processes" else 1
    options = dataclasses.replace(
        RECIPE, epochs=epochs, batch_size=BATCH, lr=2 * LEARNING_RATE, augment="flips", seed=seed, devices=devices
    )
    splits = (data["train"], data["valid"])
    history = fit(network, *splits, PREPROCESSING, options, classes=1, checkpoint_dir=folder, device="cpu")
    return [record.valid_dice for record in history.epochs]


def summarise(runs: dict[str, Any]) -> dict[str, Any]:
    """Returns best Dice by way, differences with 95 % intervals over the seeds, and seconds to the goal."""
    seeds = sorted({int(key.rpartition(" ")[2]) for key in runs})
    best = {
        way: [max(runs[f"{way}, seed {seed}"]["dice"]) for seed in seeds if f"{way}, seed {seed}" in runs]
        for way in WAYS
    }
    summary: dict[str, Any] = {"best_dice": best}
    for one, other in (("ours", "plain"), ("two processes", "ours")):
        if len(best[one]) == len(best[other]) > 1:
            differences = [first - second for first, second in zip(best[one], best[other], strict=True)]
            summary[f"{one} - {other}"] = interval(differences)
    summary["seconds_to_goal"] = {
        way: [to_goal(runs[f"{way}, seed {seed}"]) for seed in range(len(best[way]))] for way in ("plain", "ours")
    }
    return summary


def interval(values: list[float]) -> dict[str, float]:
    """Returns the mean and half the width of its 95 % interval, by Student's t."""
    half = T_975[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return {"mean": statistics.mean(values), "half_width": half}


def to_goal(run: dict[str, Any]) -> float | None:
    """Returns the processor seconds until the validation Dice reaches the goal, or None if it never does."""
    epochs = next((epoch for epoch, dice in enumerate(run["dice"], start=1) if dice >= GOAL), None)
    return None if epochs is None else epochs * run["seconds_an_epoch"]


if __name__ == "__main__":
    main()
