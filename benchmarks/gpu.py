"""Benchmarks on a GPU: decomposition, training, latency, and the whole reference experiment.

Needs torch, numpy, opencv, scipy, pycocotools, safetensors, rich and lightning; neither ZenML nor MLflow. Parts:

- `decomposition`: `torch_lowrank.decomposition.svd.factorize` of float64 matrices as the U-Net has them, by each driver
  of `torch.linalg.svd` on CUDA, with our way on the CPU of the same machine;
- `training`: steps of the U-Net in float32 and contiguous layout, as PyTorch does by itself, and in bfloat16 and
  channels_last, as `models.training.fit` does on CUDA; on one batch, so that reading data counts for nothing;
- `experiment`: the reference experiment (`benchmarks/reference_experiment.py`), where a data folder is given; the ranks
  of its budgets go to results/trained_ranks.json, which `benchmarks/latency.py` reads;
- `latency`: the dense network and the compressed ones of `benchmarks/latency.py`, as they are and as
  `models.unet_inference.for_inference` makes them, in float32 and bfloat16, and recorded in a CUDA graph; batch 1 and
  32;
- `compiled`, where it is asked for: what `torch.compile` adds to training, and to the latency of two networks.

    python benchmarks/gpu.py --device cuda --data_root data     # results/gpu_<device>.json and docs/performance.md
    python benchmarks/gpu.py --device cpu --base_filters 8 --image_size 32 --quick --dry_run   # tries it anywhere

Each part is written as it ends, beside those of earlier runs with the same GPU, torch, threads and network; --fresh
begins anew.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import gpu_latency, gpu_training  # noqa: E402
from benchmarks.gpu_decomposition import measure_decomposition  # noqa: E402
from benchmarks.gpu_page import section  # noqa: E402
from benchmarks.gpu_timing import CHANNELS, Setup  # noqa: E402
from benchmarks.pages import machine, read_result, write_result, write_section  # noqa: E402
from benchmarks.reference_experiment import Experiment, run_experiment  # noqa: E402


def main() -> None:
    """Measures, prints and writes."""
    arguments = _parser().parse_args()
    setup = Setup(arguments.device, arguments.base_filters, arguments.image_size, 2 if arguments.quick else 7)
    about = {**machine(setup.device), "network": f"UNet({CHANNELS}, 1, {setup.base_filters})", "side": setup.image_size}
    file = f"gpu_{name_of(about['device'])}"
    result = about | ({} if arguments.dry_run or arguments.fresh else read_result(file))
    if result != result | about:
        raise SystemExit(f"{file}.json is of another torch, network or number of threads; use --fresh")
    for part in arguments.parts:
        if part == "experiment" and arguments.data_root is None:
            print("experiment: left out, give --data_root")
            continue
        if part == "experiment":
            result[part], ranks = experiment(setup, arguments.data_root)
            if not arguments.dry_run:
                write_result("trained_ranks", {"network": about["network"], "side": about["side"], "ranks": ranks})
        else:
            result[part] = MEASURE[part](setup)
        print(json.dumps({part: result[part]}, indent=2), flush=True)
        if not arguments.dry_run:
            write_result(file, result)
            write_section("performance.md", "gpu", section(result))


def measure_compiled(setup: Setup) -> dict[str, Any]:
    """Returns training and latency with and without the compiler."""
    return {
        "training": gpu_training.measure_training(setup, gpu_training.COMPILED),
        "latency": gpu_latency.measure_latency(setup, gpu_latency.COMPILED, gpu_latency.COMPILED_NETWORKS),
    }


def experiment(setup: Setup, data_root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the table of the reference experiment, and the ranks that its budgets chose."""
    size = setup.base_filters, setup.image_size
    with tempfile.TemporaryDirectory() as folder:
        found = run_experiment(Experiment(data_root, Path(folder), setup.device, *size))
    return found, found.pop("ranks")


def name_of(device: str) -> str:
    """Returns a device's name as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "_", device.lower()).strip("_")


MEASURE: dict[str, Callable[[Setup], Any]] = {
    "decomposition": measure_decomposition,
    "training": gpu_training.measure_training,
    "latency": gpu_latency.measure_latency,
    "compiled": measure_compiled,
}
PARTS = ("decomposition", "training", "experiment", "latency")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--base_filters", type=int, default=64)
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--data_root", type=Path, help="COCO folder of the reference experiment; without it none")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=[*PARTS, "compiled"])
    parser.add_argument("--quick", action="store_true", help="few repeats: a trial, no measurement")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured")
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    return parser


if __name__ == "__main__":
    main()
