"""Makes the COCO folder that `benchmarks/ingest.py` reads: MRI-like JPEGs of 640x640, with polygons around lesions.

A few slices are drawn, which takes long; every image is one of them turned, scaled and shifted, with noise of its own,
stored as three channels at quality 90, as annotation tools export.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.layout import ANNOTATION_FILE
from dataset.phantoms.brain_slices import Slice, draw_slice

SIZE = 640
_SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}
_DRAWN = 24
_CORNERS = 1.0  # pixels that a polygon may be off


def write_images(root: Path, images: int, seed: int = 0, size: int = SIZE) -> None:
    """Writes a data set.

    Args:
        root: Its folder, which is made.
        images: How many, in all splits together.
        seed: Decides everything.
        size: Height and width.
    """
    rng = np.random.default_rng(seed)
    slices = [draw_slice(rng, size) for _ in range(_DRAWN)]
    for split, number in _numbers(images).items():
        folder = root / split
        folder.mkdir(parents=True)
        outlines = []
        for i in range(number):
            picture, polygons = _vary(rng, slices[rng.integers(_DRAWN)])
            data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
            (folder / f"slice_{i:06}.jpg").write_bytes(data.tobytes())
            outlines.append(polygons)
        _write_annotations(folder, outlines, size)


def repeat_images(source: Path, root: Path, times: int) -> None:
    """Makes a data set of `times` as many images: every file under other names, as hard links, its objects with it."""
    for split in _SHARES:
        folder = root / split
        folder.mkdir(parents=True)
        content = json.loads((source / split / ANNOTATION_FILE).read_bytes())
        outlines: list[list[list[float]]] = [[] for _ in content["images"]]
        for annotation in content["annotations"]:
            outlines[annotation["image_id"] - 1] += annotation["segmentation"]
        number = len(outlines)
        for i in range(number * times):
            (folder / f"slice_{i:06}.jpg").hardlink_to(source / split / f"slice_{i % number:06}.jpg")
        _write_annotations(folder, outlines * times, content["images"][0]["height"])


def _numbers(images: int) -> dict[str, int]:
    return {split: max(1, round(share * images)) for split, share in _SHARES.items()}


def _vary(rng: np.random.Generator, drawn: Slice) -> tuple[NDArray[np.uint8], list[list[float]]]:
    """Rotates, scales and shifts a slice and its lesions, and adds noise; returns the image and a polygon a lesion."""
    size = drawn.image.shape[0]
    move = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-25, 25), rng.uniform(0.85, 1.1))
    move[:, 2] += rng.uniform(-0.04, 0.04, 2) * size
    picture = cv2.warpAffine(drawn.image, move, (size, size), flags=cv2.INTER_LINEAR)
    noise = rng.integers(-4, 5, (size, size), dtype=np.int16)
    polygons = []
    for lesion in drawn.lesions:
        mask = cv2.warpAffine(lesion.astype(np.uint8), move, (size, size), flags=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        corners = cv2.approxPolyDP(max(outlines, key=cv2.contourArea), _CORNERS, closed=True).reshape(-1, 2)
        if len(corners) >= 3:
            polygons.append((corners + rng.uniform(0, 0.999, corners.shape)).round(2).ravel().tolist())
    return np.clip(picture + noise, 0, 255).astype(np.uint8), polygons


def _write_annotations(folder: Path, outlines: list[list[list[float]]], size: int) -> None:
    images = [
        {"id": i + 1, "license": 1, "file_name": f"slice_{i:06}.jpg", "height": size, "width": size}
        for i in range(len(outlines))
    ]
    found = [(i + 1, polygon) for i, polygons in enumerate(outlines) for polygon in polygons]
    content = {
        "info": {"description": "made by benchmarks/ingest_data.py"},
        "categories": [{"id": 1, "name": "lesion", "supercategory": "none"}],
        "images": images,
        "annotations": [_annotation(i + 1, image_id, polygon) for i, (image_id, polygon) in enumerate(found)],
    }
    (folder / ANNOTATION_FILE).write_text(json.dumps(content), encoding="utf-8")


def _annotation(annotation_id: int, image_id: int, polygon: list[float]) -> dict[str, Any]:
    x, y = polygon[0::2], polygon[1::2]
    width, height = max(x) - min(x), max(y) - min(y)
    box = [math.floor(min(x)), math.floor(min(y)), math.ceil(width), math.ceil(height)]
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "bbox": box,
        "area": round(width * height, 3),
        "segmentation": [polygon],
        "iscrowd": 0,
    }
