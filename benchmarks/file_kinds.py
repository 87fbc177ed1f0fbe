"""Measures what the kind of file does to what is stored of a picture, and to the Dice of a network on it.

The test split is written as PNG, TIFF and JPEG, at its own size and enlarged, as exports come, and read by
`dataset.ingest` at the size that the network was trained on. What is stored is compared with what is stored of the PNG.

    python benchmarks/file_kinds.py               # benchmarks/results/file_kinds.json and docs/performance.md
    python benchmarks/file_kinds.py --dry_run     # prints, and writes nothing
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.pages import write_result, write_section  # noqa: E402
from dataset.ingest import IngestOptions, ingest  # noqa: E402
from dataset.layout import ANNOTATION_FILE, SPLITS  # noqa: E402
from dataset.store import Split  # noqa: E402
from models.checkpoint import load_checkpoint  # noqa: E402
from models.evaluation.evaluate import evaluate  # noqa: E402
from models.preprocessing import Preprocessing  # noqa: E402

SHARED = ROOT.parent / "shared"
# Name in the table, ending of the files, OpenCV's parameters; the first is what the others are compared with.
KINDS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("PNG", ".png", ()),
    ("TIFF", ".tif", ()),
    ("JPEG, quality 95", ".jpg", (cv2.IMWRITE_JPEG_QUALITY, 95)),
    ("JPEG, quality 90", ".jpg", (cv2.IMWRITE_JPEG_QUALITY, 90)),
)


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=SHARED / "data" / "brain_tumor", help="COCO folder of square images"
    )
    parser.add_argument("--checkpoint", type=Path, default=SHARED / "models" / "unet16_gray128.safetensors")
    parser.add_argument("--image_size", type=int, default=128, help="that the network was trained on")
    parser.add_argument(
        "--sides", type=int, nargs="+", default=[256, 512, 640], help="of the pictures that are written"
    )
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    network = load_checkpoint(arguments.checkpoint)
    result = {
        "network": arguments.checkpoint.name,
        "image_size": arguments.image_size,
        "rows": [row for side in arguments.sides for row in measure(network, arguments, side)],
    }
    print(json.dumps(result, indent=2))
    if not arguments.dry_run:
        write_result("file_kinds", result)
        write_section("performance.md", "file kinds", table(result))


def measure(network: nn.Module, arguments: argparse.Namespace, side: int) -> list[dict[str, Any]]:
    """Returns a row for each kind of file, of pictures of one side."""
    rows: list[dict[str, Any]] = []
    first: np.ndarray | None = None
    for name, ending, parameters in KINDS:
        with tempfile.TemporaryDirectory() as temporary:
            written = convert(arguments.data, Path(temporary) / "data", side, ending, parameters)
            size = (arguments.image_size, arguments.image_size)
            options = IngestOptions(size, 1, multi_class=False, skip_bad_samples=False, num_workers=0)
            split = ingest(written, Path(temporary) / "stored", options)["test"]
            images = np.array(split.images, np.int16)
            dice = mean_dice(network, split)
        first = images if first is None else first
        rows.append(
            {
                "side": side,
                "kind": name,
                "images": len(images),
                "dice": dice,
                "difference": float(np.abs(images - first).mean()),
            }
        )
    return rows


def convert(data: Path, root: Path, side: int, ending: str, parameters: tuple[int, ...]) -> Path:
    """Writes the test split with its pictures in another kind of file, and one of them as the other splits."""
    content = json.loads((data / "test" / ANNOTATION_FILE).read_bytes())
    scale = side / content["images"][0]["width"]
    for entry in content["annotations"]:
        entry["segmentation"] = [[scale * value for value in part] for part in entry["segmentation"]]
    (root / "test").mkdir(parents=True)
    for entry in content["images"]:
        picture = cv2.imread(str(data / "test" / entry["file_name"]), cv2.IMREAD_GRAYSCALE)
        entry |= {"width": side, "height": side, "file_name": f"{entry['id']}{ending}"}
        large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC) if scale != 1 else picture
        cv2.imwrite(str(root / "test" / entry["file_name"]), large, parameters)
    (root / "test" / ANNOTATION_FILE).write_text(json.dumps(content), encoding="utf-8")
    one = content["annotations"][0]
    content["annotations"] = [one]
    content["images"] = [entry for entry in content["images"] if entry["id"] == one["image_id"]]
    for split in set(SPLITS) - {"test"}:
        (root / split).mkdir()
        shutil.copy(root / "test" / content["images"][0]["file_name"], root / split)
        (root / split / ANNOTATION_FILE).write_text(json.dumps(content), encoding="utf-8")
    return root


def mean_dice(network: nn.Module, split: Split) -> float:
    """Returns the mean of the images' Dice."""
    found = evaluate(
        network, split.images, split.masks, Preprocessing(0.18, 0.18), classes=1, batch_size=32, device="cpu"
    )
    return found.metrics["dice"]


def table(result: dict[str, Any]) -> list[str]:
    """Returns the page's section."""
    rows = result["rows"]
    size, of_png = result["image_size"], {row["side"]: row["dice"] for row in reversed(rows)}
    return [
        f"`{result['network']}`, which was trained on area averages of {size}x{size}; {rows[0]['images']} images:",
        "",
        "| side of the pictures | file | mean difference from the PNG (of 255) | Dice |",
        "|---:|---|---:|---:|",
        *(f"| {row['side']} | {row['kind']} | {row['difference']:.2f} | {row['dice']:.4f} |" for row in rows),
        "",
        "The largest difference of a Dice from that of the PNG of the same size is "
        f"{max(abs(row['dice'] - of_png[row['side']]) for row in rows):.4f}.",
    ]


if __name__ == "__main__":
    main()
