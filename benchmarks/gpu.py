"""What the library does on a GPU: decomposition, training, latency, and the whole reference experiment.

Needs torch, numpy, opencv, scipy, pycocotools, safetensors, rich and lightning; neither ZenML nor MLflow. Compared are:

- decomposition: `models.svd.factorize` of float64 matrices as the U-Net has them, by each driver of
  `torch.linalg.svd` on CUDA, with our way on the CPU of the same machine;
- training: steps of the U-Net in plain float32 and contiguous layout, in bfloat16 and channels_last, and the latter
  compiled; the same batch again and again, so that reading data counts for nothing;
- latency: the dense network and those with 25 % and 12.5 % of its parameters, and of its multiply-accumulates, in the
  same three modes, batch 1 and 32, and what they do to images a second;
- the reference experiment (`benchmarks/reference_experiment.py`), where a data folder is given.

    python benchmarks/gpu.py --device cuda --data_root data     # results/gpu_<device>.json and docs/performance.md
    python benchmarks/gpu.py --device cpu --base_filters 4 --image_size 32 --quick --dry_run   # tries it anywhere
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.gpu_decomposition import measure_decomposition  # noqa: E402
from benchmarks.gpu_networks import Setup, measure_latency, measure_training  # noqa: E402
from benchmarks.gpu_page import section  # noqa: E402
from benchmarks.pages import machine, write_result, write_section  # noqa: E402
from benchmarks.reference_experiment import Experiment, run_experiment  # noqa: E402

PARTS = ("decomposition", "training", "latency", "experiment")


def main() -> None:
    """Measures, prints and writes."""
    arguments = _parser().parse_args()
    setup = Setup(arguments.device, arguments.base_filters, arguments.image_size, 2 if arguments.quick else 7)
    result: dict[str, Any] = {**machine(), "network": f"UNet(3, 1, {setup.base_filters})", "side": setup.image_size}
    for part in arguments.parts:
        if part != "experiment":
            result[part] = MEASURE[part](setup)
        elif arguments.data_root is not None:
            with tempfile.TemporaryDirectory() as folder:
                experiment = Experiment(
                    arguments.data_root, Path(folder), setup.device, setup.base_filters, setup.image_size
                )
                result[part] = run_experiment(experiment)
        print(json.dumps({part: result.get(part, "no --data_root")}, indent=2), flush=True)
    if not arguments.dry_run:
        write_result(f"gpu_{name_of(result['device'])}", result)
        write_section("performance.md", "gpu", section(result))


def name_of(device: str) -> str:
    """Returns a device's name as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "_", device.lower()).strip("_")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--base_filters", type=int, default=64)
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--data_root", type=Path, help="COCO folder of the reference experiment; without it none")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--quick", action="store_true", help="few repeats: a trial, no measurement")
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    return parser


MEASURE = {"decomposition": measure_decomposition, "training": measure_training, "latency": measure_latency}

if __name__ == "__main__":
    main()
