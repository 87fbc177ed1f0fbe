"""Measures our ingest against a plain loop, and how its memory grows with the number of images.

The plain loop does what the reference does for every image: Pillow opens it as RGB, pycocotools draws each annotation
at the original size, masks are united, both are resized, and the arrays are saved at the end. Ours is
`dataset.ingest`, which checks all it reads besides. A third way is ours with JPEGs decoded to the smallest size that is
large enough and interpolated: what it costs that a JPEG is stored as a PNG of the same picture is. All take the same
JPEGs of 640x640, in a process of their own each time, in turn; medians count. The plain loop resizes by Pillow's
bilinear filter, the cheapest that averages.

    python benchmarks/ingest.py               # benchmarks/results/ingest.json and docs/performance.md
    python benchmarks/ingest.py --dry_run     # prints, and writes nothing
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

STORED = 256  # height and width
MORE = 10  # times as many images, for memory and the exponent


def main() -> None:
    """Runs the benchmark and writes its results; with `--run`, one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--channels", type=int, default=3, choices=[1, 3], help="of ours; the plain loop has 3")
    parser.add_argument("--folder", type=Path, help="where the images are made, and kept; else a temporary folder")
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    parser.add_argument("--run", choices=sorted(WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run_here(arguments.run, arguments.folder, arguments.channels)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        result = measure(arguments.folder or Path(temporary), arguments)
    print(json.dumps(result, indent=2))
    if not arguments.dry_run:
        from benchmarks.pages import machine, write_result, write_section  # noqa: PLC0415 - loads torch

        write_result("ingest", {**machine(), **result})
        write_section("performance.md", "ingest", [f"On {machine()['device']}:", "", *table(result)])


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns medians over interleaved runs, and our peak memory with more images."""
    few, many = folder / str(arguments.images), folder / str(MORE * arguments.images)
    make_images(few, many, arguments.images)
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(arguments.repeats):
        for way, found in runs.items():
            found.append(run_apart(way, few, arguments.channels))
    medians = {
        way: {key: statistics.median(run[key] for run in found) for key in found[0]} for way, found in runs.items()
    }
    return {
        "images": arguments.images,
        "channels": arguments.channels,
        "images_per_second": {way: arguments.images / found["seconds"] for way, found in medians.items()},
        "ratio": medians["plain"]["seconds"] / medians["ours"]["seconds"],
        "ratios": [plain["seconds"] / ours["seconds"] for plain, ours in zip(runs["plain"], runs["ours"], strict=True)],
        "cpu_ms_per_image": {way: 1000 * found["cpu_seconds"] / arguments.images for way, found in medians.items()},
        "load": os.getloadavg()[0],
        "peak_mib": {way: found["peak_mib"] for way, found in medians.items()},
        "more": {"images": MORE * arguments.images, **run_apart("ours", many, arguments.channels)},
    }


def make_images(few: Path, many: Path, images: int) -> None:
    """Makes both data sets, unless an earlier run has kept them."""
    from benchmarks.ingest_data import repeat_images, write_images  # noqa: PLC0415 - the plain loop needs none of it

    if not few.exists():
        write_images(few, images)
    if not many.exists():
        repeat_images(few, many, MORE)


def run_apart(way: str, root: Path, channels: int) -> dict[str, float]:
    """Runs one way in a fresh process."""
    command = [sys.executable, __file__, "--run", way, "--folder", str(root), "--channels", str(channels)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own command
    return json.loads(done.stdout)


def run_here(way: str, root: Path, channels: int) -> dict[str, float]:
    """Runs one way in this process, its imports not counted; CPU seconds are those of all threads together."""
    with tempfile.TemporaryDirectory(dir=root.parent) as temporary:
        work = WAYS[way](root, Path(temporary) / "stored", channels)
        start, start_cpu = time.perf_counter(), time.process_time()
        work()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
        return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak_mib()}


def ours(root: Path, stored: Path, channels: int) -> Callable[[], object]:
    """Prepares our ingest."""
    from dataset.ingest import IngestOptions, ingest  # noqa: PLC0415 - each way loads its own libraries only

    options = IngestOptions((STORED, STORED), channels, multi_class=False, skip_bad_samples=False, num_workers=0)
    return lambda: ingest(root, stored, options)


def reduced(root: Path, stored: Path, channels: int) -> Callable[[], object]:
    """Prepares our ingest with JPEGs reduced as far as they stay large enough, and linear interpolation."""
    import cv2  # noqa: PLC0415

    import dataset.images.decode  # noqa: PLC0415
    import dataset.ingest  # noqa: PLC0415

    def divisor(_: object, request: dataset.images.decode.DecodeRequest) -> int:
        sides = (request.height, request.width)
        return next((by for by in (8, 4, 2) if all(side >= by * STORED and side % by == 0 for side in sides)), 1)

    def resize_image(image: np.ndarray, height: int, width: int, _: str) -> np.ndarray:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)

    dataset.images.decode._divisor = divisor
    dataset.ingest.resize_image = resize_image
    return ours(root, stored, channels)


def plain(root: Path, stored: Path, _: int) -> Callable[[], object]:
    """Prepares the plain loop."""
    from contextlib import redirect_stdout  # noqa: PLC0415
    from io import StringIO  # noqa: PLC0415

    from PIL import Image  # noqa: PLC0415
    from pycocotools.coco import COCO  # noqa: PLC0415

    def loop() -> None:
        stored.mkdir()
        for split in ("train", "valid", "test"):
            with redirect_stdout(StringIO()):
                coco = COCO(str(root / split / "_annotations.coco.json"))
            images, masks = [], []
            for image_id in coco.getImgIds():
                entry = coco.loadImgs(image_id)[0]
                image = Image.open(root / split / entry["file_name"]).convert("RGB")
                mask = np.zeros((entry["height"], entry["width"]), np.uint8)
                for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image_id)):
                    mask = np.maximum(mask, coco.annToMask(annotation))
                images.append(np.asarray(image.resize((STORED, STORED), Image.Resampling.BILINEAR)))
                resized = Image.fromarray(mask).resize((STORED, STORED), Image.Resampling.NEAREST)
                masks.append(np.asarray(resized))
            np.save(stored / f"{split}_images.npy", np.stack(images))
            np.save(stored / f"{split}_masks.npy", np.stack(masks))

    return loop


WAYS: dict[str, Callable[[Path, Path, int], Callable[[], object]]] = {"plain": plain, "ours": ours, "reduced": reduced}


def peak_mib() -> float:
    """Returns the most that this process ever held; Linux only, as `getrusage` counts the process that started it."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))[0]) / 1024


def table(result: dict[str, Any]) -> list[str]:
    """Returns the page's section."""
    speed, peak, more = result["images_per_second"], result["peak_mib"], result["more"]
    longer = more["seconds"] * speed["ours"] / result["images"]
    lowest, highest = min(result["ratios"]), max(result["ratios"])
    spread = f"{lowest:.1f} to {highest:.1f} in {len(result['ratios'])} pairs of runs"
    cpu = result["cpu_ms_per_image"]
    return [
        f"| {result['images']:,} JPEGs of 640x640 to {STORED}x{STORED} | images/s | CPU ms/image | peak MiB |",
        "|---|---:|---:|---:|",
        f"| plain loop (Pillow, pycocotools) | {speed['plain']:.0f} | {cpu['plain']:.1f} | {peak['plain']:.0f} |",
        f"| ours | {speed['ours']:.0f} | {cpu['ours']:.1f} | {peak['ours']:.0f} |",
        f"| ours, JPEGs reduced and interpolated | {speed['reduced']:.0f} | {cpu['reduced']:.1f} "
        f"| {peak['reduced']:.0f} |",
        f"| ours, {more['images']:,} images | {more['images'] / more['seconds']:.0f} "
        f"| {1000 * more['cpu_seconds'] / more['images']:.1f} | {more['peak_mib']:.0f} |",
        "",
        f"Ours is {result['ratio']:.1f} times as fast ({spread}), in 1/{cpu['plain'] / cpu['ours']:.1f} of the CPU "
        f"time; with {MORE} times the images it takes {more['peak_mib'] / peak['ours']:.2f} times the memory and "
        f"{longer:.1f} times as long. Reducing and interpolating would take {cpu['reduced'] / cpu['ours']:.2f} times "
        f"the CPU time, and store other pixels than of a PNG. The machine's load was {result['load']:.0f} on "
        f"{os.cpu_count()} cores.",
    ]


if __name__ == "__main__":
    main()
