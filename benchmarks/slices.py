"""A slice with its truth, and what the network finds as it was trained and at a quarter of its size: README.md.

    python benchmarks/slices.py                # a minute, no training: docs/images/slices.png

Network, data, statistics and recalibration are those of `benchmarks/accuracy.py`. The slice is not picked by hand: of
all test images it is the one whose Dice by the full network is the median.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.accuracy import SHARED  # noqa: E402
from benchmarks.accuracy_bench import BATCH, Bench  # noqa: E402
from models.evaluation.evaluate import predict  # noqa: E402
from reporting.overlay import overlay  # noqa: E402
from reporting.plots.style import new_figure  # noqa: E402
from torch_lowrank.compression import compress  # noqa: E402
from torch_lowrank.layers.factorized import count_parameters  # noqa: E402
from torch_lowrank.ranks.budgets import ParameterBudget  # noqa: E402

BUDGET = 0.25


def main() -> None:
    """Draws the picture of the network and the data set that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, default=SHARED / "models" / "unet16_gray128.safetensors")
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "brain_tumor")
    parser.add_argument("--image_size", type=int, nargs=2, default=(128, 128))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "slices.png")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder) / "none.json", Path(folder))
        draw(bench).savefig(arguments.out, dpi=110, bbox_inches="tight", pad_inches=0.05)


def draw(bench: Bench) -> Figure:
    """Draws the slice, its truth, and both networks' masks with their Dice."""
    small = quarter(bench)
    full_dice, small_dice = bench.dice(bench.network), bench.dice(small)
    row = median_row(full_dice)
    image, truth = (np.array(part[row]) for part in (bench.data["test"].images, bench.data["test"].masks))
    share = 100 * count_parameters(small) / count_parameters(bench.network)
    sizes = [f"U-Net, {count_parameters(bench.network):,} parameters", f"{share:.0f} % of them"]
    panels = {
        "MRI slice": np.zeros_like(truth),
        "truth": truth,
        f"{sizes[0]}\nDice {full_dice[row]:.2f}": mask(bench, bench.network, row),
        f"{sizes[1]}\nDice {small_dice[row]:.2f}": mask(bench, small, row),
    }
    figure = new_figure(9.6, 2.9)
    for axes, (title, labels) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.imshow(overlay(image, labels), interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=9)
    return figure


def quarter(bench: Bench) -> nn.Module:
    """Returns the network of ranks allocated within a quarter, recalibrated, which `--budgets 0.25` keeps here."""
    made = compress(bench.network, ParameterBudget(BUDGET), statistics=bench.statistics(), device=bench.device)
    bench.recalibrate(made.network)
    return made.network


def median_row(values: Sequence[float]) -> int:
    """Returns the row of the median; of an even number, that of the lower middle, and of equals the first."""
    middle = sorted(values)[(len(values) - 1) // 2]
    return list(values).index(middle)


def mask(bench: Bench, network: nn.Module, row: int) -> NDArray[np.uint8]:
    """Returns the labels uint8 (H, W) that a network finds on a test image."""
    images = bench.data["test"].images[row : row + 1]
    options = {"classes": bench.data.classes, "batch_size": BATCH, "device": bench.device}
    labels: NDArray[np.uint8] = predict(network, images, bench.preprocessing, **options)[0]
    return labels


if __name__ == "__main__":
    main()
