"""Peak memory of statistics, weighted decomposition and one compression of the 64-filter U-Net at 256x256, on the CPU.

    python benchmarks/memory.py            # benchmarks/results/memory.json

Memory does not depend on how many images there are, so a few random ones do. The peak is that of the whole process,
torch's own libraries included, up to the end of each stage.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from models.unet import UNet  # noqa: E402
from torch_lowrank.compression import compress  # noqa: E402
from torch_lowrank.curvature.collect import MEMORY_LIMIT, collect_statistics  # noqa: E402
from torch_lowrank.decomposition.decompose import decompose  # noqa: E402
from torch_lowrank.ranks.budgets import ParameterBudget  # noqa: E402


def main() -> None:
    """Measures, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base_filters", type=int, default=64)
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--batch_size", type=int, default=4, help="as in the pipeline")
    parser.add_argument("--memory_limit", type=int, default=MEMORY_LIMIT, help="bytes of the moments of one pass")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    network = UNet(3, 1, arguments.base_filters).eval()
    size, number = arguments.image_size, arguments.batch_size
    batches = [torch.randn(number, 3, size, size) for _ in range(max(1, arguments.images // number))]
    result: dict[str, object] = {**vars(arguments), "torch": torch.__version__, "at_start_gib": peak_gib()}
    start = time.perf_counter()
    statistics = collect_statistics(network, batches, memory_limit=arguments.memory_limit)
    result["statistics"] = {"seconds": time.perf_counter() - start, "peak_so_far_gib": peak_gib()}
    print(result, flush=True)
    start = time.perf_counter()
    spectra = decompose(network, "auto", statistics=statistics)
    result["decomposition"] = {"seconds": time.perf_counter() - start, "peak_so_far_gib": peak_gib()}
    print(result, flush=True)
    start = time.perf_counter()
    compress(network, ParameterBudget(0.125), spectra=spectra, statistics=statistics)
    result["allocation_and_refinement"] = {"seconds": time.perf_counter() - start, "peak_so_far_gib": peak_gib()}
    text = json.dumps(result, indent=2)
    print(text)
    (ROOT / "benchmarks" / "results" / "memory.json").write_text(text + "\n", encoding="utf-8")


def peak_gib() -> float:
    """Returns the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
