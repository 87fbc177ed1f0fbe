"""The reference experiment from images to table, by the library alone: for machines without ZenML and MLflow.

Ingest, training of the pipeline's default network (colour, 256x256, 64 filters) for 30 epochs, one decomposition, SVD
at ranks 16, 32, 64, ARSVD at taus 0.85, 0.9, 0.95, and the data-aware budgets of 50, 25 and 12.5 % of the parameters,
some with one of multiply-accumulates as well. Every variant is evaluated on the test split straight after truncation,
and with BatchNorm recalibrated, then in bfloat16, too. Where MONAI is missing the loss is `bce`, as the result says.

    python benchmarks/reference_experiment.py --data_root data --device cuda     # prints the result as JSON
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.recipe import RECIPE  # noqa: E402
from dataset.ingest import IngestOptions, ingest  # noqa: E402
from dataset.store import Dataset  # noqa: E402
from models.evaluation.cost import measure_cost  # noqa: E402
from models.evaluation.evaluate import evaluate  # noqa: E402
from models.evaluation.latency import time_in_turns  # noqa: E402
from models.preprocessing import ImageBatches, Preprocessing  # noqa: E402
from models.training.fit import fit  # noqa: E402
from models.training.history import History  # noqa: E402
from models.unet import UNet  # noqa: E402
from models.unet_inference import for_inference  # noqa: E402
from models.variant_spec import VariantSpec  # noqa: E402
from torch_lowrank.compression import Compressed, compress  # noqa: E402
from torch_lowrank.curvature.collect import collect_statistics  # noqa: E402
from torch_lowrank.decomposition.decompose import decompose  # noqa: E402
from torch_lowrank.ranks.budgets import JointBudget, ParameterBudget  # noqa: E402
from torch_lowrank.ranks.rules import Entropy, FixedRank  # noqa: E402
from torch_lowrank.recalibration import recalibrate  # noqa: E402

PREPROCESSING = Preprocessing(0.18, 0.18)
SEED = 42
_STATISTICS_IMAGES, _RECALIBRATION_IMAGES, _STATISTICS_BATCH = 64, 256, 4


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The setting of the experiment.

    Attributes:
        data_root: COCO folder.
        folder: For the arrays and checkpoints.
        device: `cuda` or `cpu`.
        base_filters: Of the U-Net.
        image_size: Height and width.
        epochs: Of training.
        batch_size: Of training; evaluation takes four times as many.
        lr: Of training, at its highest.
        augment: Of training.
        ranks: Of SVD.
        taus: Of ARSVD.
        budgets: Shares of the parameters.
        joint_budgets: Shares of the parameters and of the multiply-accumulates.
    """

    data_root: Path
    folder: Path
    device: str = "cuda"
    base_filters: int = 64
    image_size: int = 256
    epochs: int = 30
    batch_size: int = 16
    lr: float = 2e-3
    augment: Literal["none", "flips", "full"] = "full"
    ranks: tuple[int, ...] = (16, 32, 64)
    taus: tuple[float, ...] = (0.85, 0.9, 0.95)
    budgets: tuple[float, ...] = (0.5, 0.25, 0.125)
    joint_budgets: tuple[tuple[float, float], ...] = ((0.25, 0.25), (0.125, 0.2), (0.125, 0.125))

    @property
    def loss(self) -> Literal["dice_ce", "bce"]:
        """The pipeline's loss, which is MONAI's, or the one that torch has."""
        return "dice_ce" if importlib.util.find_spec("monai") else "bce"


def run_experiment(experiment: Experiment) -> dict[str, Any]:
    """Returns seconds by stage and a row for each variant."""
    clock = _Clock(experiment.device)
    size = (experiment.image_size, experiment.image_size)
    with clock.timing("ingest"):
        options = IngestOptions(image_size=size, channels=3, multi_class=False, skip_bad_samples=False, num_workers=0)
        dataset = ingest(experiment.data_root, experiment.folder / "arrays", options)
    with clock.timing("train"):
        network, history = _trained(experiment, dataset)
    rows = [_row("baseline", network, experiment, dataset, clock)]
    networks, ranks = {"baseline": network}, {}
    for spec, smaller in _compressed(network, experiment, dataset, clock):
        networks[spec.name] = smaller.network
        rows.append(_row(spec.name, smaller.network, experiment, dataset, clock))
        if spec.method == "budget":
            ranks[spec.name] = {layer.name: (layer.scheme, layer.rank) for layer in smaller.layers if layer.scheme}
    with clock.timing("time networks"):
        latencies = time_in_turns(networks, (3, *size), experiment.device)
    for row in rows:
        latency = latencies[row["variant"]]
        row |= {"latency_ms": latency.ms, "latency_ratio": latency.ratio}
    total = sum(clock.seconds.values())
    return {
        "training": f"{experiment.epochs} epochs at batch {experiment.batch_size}, lr {experiment.lr}, "
        f"loss {experiment.loss}, augment {experiment.augment}",
        "seconds": {**clock.seconds, "total": total},
        "valid_dice": max(epoch.valid_dice for epoch in history.epochs),
        "rows": rows,
        "ranks": ranks,
    }


class _Clock:
    """Measures seconds by stage; the device is synchronised before and after."""

    def __init__(self, device: str) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device

    @contextlib.contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self._device == "cuda":
            torch.cuda.synchronize()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def _trained(experiment: Experiment, dataset: Dataset) -> tuple[nn.Module, History]:
    torch.manual_seed(SEED)
    network = UNet(3, 1, experiment.base_filters, dropout=0.5)
    options = dataclasses.replace(
        RECIPE,
        epochs=experiment.epochs,
        batch_size=experiment.batch_size,
        lr=experiment.lr,
        loss=experiment.loss,
        augment=experiment.augment,
        precision="auto",
        seed=SEED,
    )
    history = fit(
        network,
        dataset["train"],
        dataset["valid"],
        PREPROCESSING,
        options,
        classes=1,
        checkpoint_dir=experiment.folder / "checkpoints",
        device=experiment.device,
    )
    return network.eval(), history


def _compressed(
    network: nn.Module, experiment: Experiment, dataset: Dataset, clock: _Clock
) -> Iterator[tuple[VariantSpec, Compressed]]:
    """Yields all variants; what several need is computed once."""
    with clock.timing("decompose"):
        spectra = decompose(network, "channel", device=experiment.device)
    plain = {VariantSpec("svd", rank=rank): FixedRank(rank) for rank in experiment.ranks}
    adaptive = {VariantSpec("arsvd", tau=tau): Entropy(tau) for tau in experiment.taus}
    for spec, rule in {**plain, **adaptive}.items():
        with clock.timing("compress"):
            smaller = compress(network, rule, spectra=spectra)
        yield spec, smaller
    train = dataset["train"]
    with clock.timing("statistics"):
        batches = ImageBatches(train.images, train.sample(_STATISTICS_IMAGES, SEED), PREPROCESSING, _STATISTICS_BATCH)
        statistics = collect_statistics(network, batches, seed=SEED, device=experiment.device)
    with clock.timing("decompose, weighted"):
        weighted = decompose(network, "auto", device=experiment.device, statistics=statistics)
    shape = (3, experiment.image_size, experiment.image_size)
    budgets: dict[VariantSpec, ParameterBudget | JointBudget] = {
        VariantSpec("budget", budget=share): ParameterBudget(share) for share in experiment.budgets
    }
    for one, other in experiment.joint_budgets:
        budgets[VariantSpec("budget", budget=one, mac_budget=other)] = JointBudget(one, other, shape)
    for spec, budget in budgets.items():
        with clock.timing("compress by budget"):
            smaller = compress(network, budget, spectra=weighted, statistics=statistics, device=experiment.device)
        yield spec, smaller


def _row(name: str, network: nn.Module, experiment: Experiment, dataset: Dataset, clock: _Clock) -> dict[str, Any]:
    """Measures a network before and after recalibration; the baseline is not recalibrated."""
    with clock.timing("evaluate"):
        before = after = _measured(network, experiment, dataset)
    if name != "baseline":
        train = dataset["train"]
        chosen = train.sample(_RECALIBRATION_IMAGES, SEED)
        batches = ImageBatches(train.images, chosen, PREPROCESSING, 8, min_batch=2)
        with clock.timing("recalibrate"):
            recalibrate(network, batches, device=experiment.device)
        with clock.timing("evaluate"):
            after = _measured(network, experiment, dataset)
    with clock.timing("evaluate in bf16"):
        half = _measured(_InBfloat16(network), experiment, dataset)
    with clock.timing("cost"):
        cost = measure_cost(network, (3, experiment.image_size, experiment.image_size))
    recalibrated = None if name == "baseline" else after["dice"]
    quality = {"dice": before["dice"], "dice_recalibrated": recalibrated, "dice_bf16": half["dice"]}
    return {"variant": name, **quality, "iou": after["iou"], **dataclasses.asdict(cost)}


def _measured(network: nn.Module, experiment: Experiment, dataset: Dataset) -> dict[str, float]:
    test = dataset["test"]
    options = {"classes": 1, "batch_size": 4 * experiment.batch_size, "device": experiment.device}
    return evaluate(network, test.images, test.masks, PREPROCESSING, **options).metrics  # type: ignore[arg-type]


class _InBfloat16(nn.Module):
    """A network with weights and activations in bfloat16."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.deployed = for_inference(network).bfloat16()

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits in float32."""
        return self.deployed(images.bfloat16()).float()


def main() -> None:
    """Runs the experiment and prints its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_root", type=Path, required=True)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--epochs", type=int, default=Experiment.epochs)
    parser.add_argument("--lr", type=float, default=Experiment.lr)
    parser.add_argument("--augment", default=Experiment.augment, choices=["none", "flips", "full"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = arguments.data_root, Path(folder), arguments.device
        experiment = Experiment(*where, epochs=arguments.epochs, lr=arguments.lr, augment=arguments.augment)
        print(json.dumps(run_experiment(experiment), indent=2))


if __name__ == "__main__":
    main()
