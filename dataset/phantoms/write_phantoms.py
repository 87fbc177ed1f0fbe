"""Writes the built-in demo data: synthetic brain slices with lesions, as a COCO folder like any other."""

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

from dataset.errors import DatasetError
from dataset.layout import ANNOTATION_FILE, SPLITS
from dataset.phantoms.brain_slices import Slice, draw_slice
from dataset.sources.local_folder import read_file
from dataset.store import new_folder

PHANTOM_VERSION = 1  # increase whenever the same seed draws other pictures
_LESION = 1
_MIN_SIZE = 32


def write_phantoms(root: Path, seed: int, counts: Mapping[str, int], size: int = 128) -> Path:
    """Writes a data set of synthetic slices; the same arguments give the same bytes.

    Image i of a split depends on the seed, the split and i alone, so that larger counts only append images.

    Args:
        root: Where to write. Absent, empty, or holding exactly these phantoms already, which are then kept.
        seed: Seed of everything.
        counts: Number of images of each split, "train", "valid" and "test", at least 1.
        size: Side of the images in pixels, at least 32.

    Returns:
        `root`.

    Raises:
        ValueError: An argument is out of range.
        DatasetError: `root` holds something else.
    """
    root = Path(root)
    if sorted(counts) != sorted(SPLITS) or min(counts.values()) < 1:
        raise ValueError(f"counts is {dict(counts)}: give at least 1 image for each of {', '.join(SPLITS)}")
    if size < _MIN_SIZE or seed < 0:
        raise ValueError(f"size is {size} and seed {seed}: choose a size of {_MIN_SIZE} or more, a seed of 0 or more")
    marker = _marker(seed, counts, size)
    if all(_read_marker(root / split) == marker for split in SPLITS):
        return root
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DatasetError(
            f"{root} exists and does not hold the phantoms of seed {seed}, size {size}, {dict(counts)}: "
            "remove it or choose another folder"
        )
    with new_folder(root) as partial:
        for index, split in enumerate(SPLITS):
            _write_split(partial / split, (seed, index), counts[split], size, marker)
    return root


def _marker(seed: int, counts: Mapping[str, int], size: int) -> dict[str, object]:
    return {
        "description": "Synthetic brain slices with lesions",
        "version": PHANTOM_VERSION,
        "seed": seed,
        "size": size,
        "counts": {split: counts[split] for split in SPLITS},
    }


def _read_marker(folder: Path) -> object:
    """Returns the `info` of a split's annotation file; None if there is none or it cannot be read."""
    try:
        content = json.loads(read_file(folder / ANNOTATION_FILE))
    except (OSError, ValueError, RecursionError):
        return None
    return content.get("info") if isinstance(content, dict) else None


def _write_split(folder: Path, stream: tuple[int, int], count: int, size: int, marker: dict[str, object]) -> None:
    folder.mkdir()
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for i in range(count):
        drawn = draw_slice(np.random.default_rng([*stream, i]), size)
        name = f"slice_{i:05d}.png"
        _, data = cv2.imencode(".png", drawn.image)
        (folder / name).write_bytes(data.tobytes())
        images.append({"id": i + 1, "file_name": name, "height": size, "width": size})
        annotations += _annotations(drawn, image_id=i + 1, first_id=len(annotations) + 1)
    content = {
        "info": marker,
        "categories": [{"id": _LESION, "name": "lesion", "supercategory": "none"}],
        "images": images,
        "annotations": annotations,
    }
    (folder / ANNOTATION_FILE).write_text(json.dumps(content), encoding="utf-8")


def _annotations(drawn: Slice, image_id: int, first_id: int) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = []
    for mask in drawn.lesions:
        polygons = outline(mask)
        xs = [x for polygon in polygons for x in polygon[0::2]]
        ys = [y for polygon in polygons for y in polygon[1::2]]
        entries.append(
            {
                "id": first_id + len(entries),
                "image_id": image_id,
                "category_id": _LESION,
                "segmentation": polygons,
                "bbox": [min(xs), min(ys), round(max(xs) - min(xs), 2), round(max(ys) - min(ys), 2)],
                "area": int(np.count_nonzero(mask)),
                "iscrowd": 0,
            }
        )
    return entries


def outline(mask: NDArray[np.bool_]) -> list[list[float]]:
    """Traces a mask as COCO polygons, one per connected part; holes are filled.

    Args:
        mask: bool (H, W), with at least one pixel.

    Returns:
        Polygons x1, y1, x2, y2, ... in pixels, where the centre of the first pixel is (0.5, 0.5), of 3 points or more.
    """
    padded = np.pad(ndimage.binary_fill_holes(mask), 1).astype(np.float64)
    polygons = []
    for contour in measure.find_contours(padded, 0.5):
        points = contour[:-1, ::-1] - 0.5  # the closing point again; (row, column) of centres; the padding
        polygons.append([round(float(value), 2) for value in points.ravel()])
    return polygons
