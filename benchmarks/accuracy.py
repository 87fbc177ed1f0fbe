"""Dice of every method at equal budgets, with and without recovery, with intervals: docs/results.md.

    python benchmarks/accuracy.py                        # no training: minutes
    python benchmarks/accuracy.py --finetune             # and three epochs for each network: an hour on two cores
    python benchmarks/accuracy.py --name NAME --network FOLDER_OR_FILE --data FOLDER    # another network or data set

Calibration, recalibration and fine-tuning see the training split alone, epochs are chosen on the validation split,
and every figure is of the test split. What was measured stays in benchmarks/results, so that a second call goes on
where the first one ended; --fresh begins anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.accuracy_page import write_page  # noqa: E402
from benchmarks.recipe import RECIPE  # noqa: E402
from dataset.ingest import IngestOptions, ingest  # noqa: E402
from dataset.store import Dataset  # noqa: E402
from models.checkpoint import load_checkpoint  # noqa: E402
from models.evaluation.evaluate import evaluate  # noqa: E402
from models.preprocessing import ImageBatches, Preprocessing  # noqa: E402
from models.training.fit import fit  # noqa: E402
from models.variant import Variant  # noqa: E402
from torch_lowrank.compression import compress  # noqa: E402
from torch_lowrank.curvature.collect import collect_statistics  # noqa: E402
from torch_lowrank.decomposition.decompose import decompose  # noqa: E402
from torch_lowrank.io import network_digest  # noqa: E402
from torch_lowrank.layers.factorized import count_parameters  # noqa: E402
from torch_lowrank.ranks.budgets import BudgetError, ParameterBudget  # noqa: E402
from torch_lowrank.ranks.rules import Entropy, FixedRank  # noqa: E402
from torch_lowrank.recalibration import recalibrate  # noqa: E402
from torch_lowrank.whole_files import write_whole  # noqa: E402

SHARED = ROOT.parent / "shared"
BUDGETS = (0.5, 0.25, 0.125, 0.0625, 0.03125)
FINETUNED = (0.25, 0.125, 0.0625, 0.03125)
METHODS = ("ours", "svd", "arsvd", "svd_spatial", "arsvd_sigma")
STATISTICS_IMAGES, RECALIBRATION_IMAGES, SEED, BATCH = 64, 256, 0, 16
TUNING = dataclasses.replace(RECIPE, epochs=3, batch_size=BATCH, lr=1e-3, augment="flips", seed=SEED, distillation=0.5)


def main() -> None:
    """Measures what is missing and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="unet16_gray128", help="of the results")
    parser.add_argument("--network", type=Path, default=SHARED / "models" / "unet16_gray128.safetensors")
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "brain_tumor")
    parser.add_argument("--image_size", type=int, nargs=2, default=(128, 128))
    parser.add_argument("--finetune", action="store_true", help="fine-tune each network for three epochs, too")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--finetune_budgets", nargs="+", type=float, choices=BUDGETS, default=FINETUNED)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured")
    arguments = parser.parse_args()
    file = ROOT / "benchmarks" / "results" / f"accuracy_{arguments.name}.json"
    if arguments.fresh:
        file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, file, Path(folder))
        bench.measure(arguments.methods)
        if arguments.finetune:
            bench.finetune(arguments.methods, arguments.finetune_budgets)
    write_page(ROOT, arguments.name, bench.record)


class Bench:
    """Measures one network on one data set; each result is written to disk before the next is measured."""

    def __init__(self, arguments: argparse.Namespace, file: Path, folder: Path) -> None:
        self.file, self.device = file, arguments.device
        self.network, self.preprocessing = load(arguments.network)
        channels = int(getattr(self.network, "arguments", {}).get("in_channels", 1))
        self.data = read_data(arguments, channels, folder)
        self.checkpoints = folder / "checkpoints"
        about = {
            "network": arguments.network.name,
            "network_digest": network_digest(self.network),
            "data": arguments.data.name,
            "data_digest": self.data.content_digest(),
            "image_size": list(arguments.image_size),
            "parameters": count_parameters(self.network),
            "machine": torch.cuda.get_device_name() if self.device == "cuda" else platform.machine(),
            "torch": torch.__version__,
            "images": {"statistics": STATISTICS_IMAGES, "recalibration": RECALIBRATION_IMAGES, "seed": SEED},
            "tuning": dataclasses.asdict(TUNING),
            "test_images": len(self.data["test"]),
        }
        self.record: dict[str, Any] = {"about": about, "seconds": {}, "results": {}}
        if file.exists():
            stored = json.loads(file.read_bytes())
            if stored["about"] != about:
                raise SystemExit(f"{file} is of another network, data set or setting; use --fresh or another --name")
            self.record = stored

    def measure(self, methods: list[str]) -> None:
        """Compresses by every method to every budget, with and without recalibration."""
        if "baseline" not in self.record["results"]:
            seconds, dice = timed(lambda: self.dice(self.network))
            self.record["seconds"]["evaluation of the test split"] = seconds
            self.keep("baseline", {"params": count_parameters(self.network), "plain": dice})
        for method in methods:
            missing = [budget for budget in BUDGETS if key(method, budget) not in self.record["results"]]
            compressor = self.compressor(method) if missing else None
            for budget in missing:
                self.keep(key(method, budget), self.at_budget(compressor, budget))

    def at_budget(self, compressor: Callable[[float], nn.Module], budget: float) -> dict[str, Any]:  # type: ignore[misc]
        """Returns size and Dice of one method at one budget."""
        try:
            network = compressor(budget)
        except BudgetError as error:
            return {"reason": str(error)}
        plain = self.dice(network)
        self.recalibrate(network)
        return {"params": count_parameters(network), "plain": plain, "recalibrated": self.dice(network)}

    def finetune(self, methods: list[str], budgets: list[float]) -> None:
        """Trains every network for three more epochs, after recalibration."""
        for method in methods:
            compressor: Callable[[float], nn.Module] | None = None
            for budget in budgets:
                result = self.record["results"][key(method, budget)]
                if "params" not in result or "finetuned" in result:
                    continue
                compressor = compressor or self.compressor(method)
                network = compressor(budget)
                self.recalibrate(network)
                folder = self.checkpoints / key(method, budget)
                options = {"classes": self.data.classes, "checkpoint_dir": folder, "device": self.device}
                splits = (self.data["train"], self.data["valid"])
                history = fit(network, *splits, self.preprocessing, TUNING, teacher=self.network, **options)  # type: ignore[arg-type]
                curve = [record.valid_dice for record in history.epochs]
                self.keep(key(method, budget), {**result, "finetuned": self.dice(network), "valid_curve": curve})

    def compressor(self, method: str) -> Callable[[float], nn.Module]:
        """Returns the function from budgets to networks; what budgets share is computed once."""
        if method == "ours":
            seconds, statistics = timed(self.statistics)
            self.record["seconds"]["statistics"] = seconds
            seconds, spectra = timed(lambda: decompose(self.network, "auto", device=self.device, statistics=statistics))
            self.record["seconds"]["weighted decomposition"] = seconds

            def ours(budget: float) -> nn.Module:
                rule = ParameterBudget(budget)
                options = {"statistics": statistics, "device": self.device}
                seconds, made = timed(lambda: compress(self.network, rule, spectra=spectra, **options))  # type: ignore[arg-type]
                self.record["seconds"]["allocation and refinement of one budget"] = seconds
                return made.network

            return ours
        spectra = decompose(self.network, "spatial" if method == "svd_spatial" else "channel")
        rules = {"arsvd": Entropy(1.0, "energy"), "arsvd_sigma": Entropy(1.0, "sigma")}
        rule = rules.get(method, FixedRank(1))
        return lambda budget: compress(self.network, ParameterBudget(budget, rule), spectra=spectra).network

    def statistics(self) -> Any:
        """Collects the second moments on training images."""
        train = self.data["train"]
        batches = ImageBatches(train.images, train.sample(STATISTICS_IMAGES, SEED), self.preprocessing, 8)
        return collect_statistics(self.network, batches, seed=SEED, device=self.device)

    def recalibrate(self, network: nn.Module) -> None:
        """Re-estimates BatchNorm's statistics on training images."""
        train = self.data["train"]
        chosen = train.sample(RECALIBRATION_IMAGES, SEED)
        batches = ImageBatches(train.images, chosen, self.preprocessing, BATCH, min_batch=2)
        recalibrate(network, batches, device=self.device)

    def dice(self, network: nn.Module) -> list[float]:
        """Returns the Dice of every test image."""
        test = self.data["test"]
        options = {"classes": self.data.classes, "batch_size": BATCH, "device": self.device}
        return evaluate(network, test.images, test.masks, self.preprocessing, **options).per_image["dice"]  # type: ignore[arg-type]

    def keep(self, name: str, result: dict[str, Any]) -> None:
        """Writes a result to disk."""
        self.record["results"][name] = result
        self.file.parent.mkdir(exist_ok=True)
        write_whole(self.file, (json.dumps(self.record) + "\n").encode())
        means = {key: round(float(np.mean(value)), 4) for key, value in result.items() if isinstance(value, list)}
        print(f"{name:<24} {result.get('params', '-'):>9} {means}", flush=True)


def key(method: str, budget: float) -> str:
    """Returns the name of a result."""
    return f"{method} {budget:g}"


def load(place: Path) -> tuple[nn.Module, Preprocessing]:
    """Loads a state dict, or a network folder that the pipeline has written."""
    if place.is_dir():
        variant = Variant.load(place)
        return variant.network.eval(), variant.preprocessing
    return load_checkpoint(place), Preprocessing(mean=0.18, std=0.18)


def read_data(arguments: argparse.Namespace, channels: int, folder: Path) -> Dataset:
    """Reads the data set as the pipeline does."""
    height, width = arguments.image_size
    options = IngestOptions((height, width), channels, multi_class=False, skip_bad_samples=False, num_workers=0)
    return ingest(arguments.data, folder / "data", options)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Returns the seconds that a function took, and its result."""
    start = time.perf_counter()
    done = work()
    return time.perf_counter() - start, done


if __name__ == "__main__":
    main()
