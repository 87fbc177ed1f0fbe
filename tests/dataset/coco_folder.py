"""Builds tiny COCO folders by hand."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dataset.images.decode import DecodeRequest, decode_image, read_image_file
from dataset.ingest import IngestOptions
from dataset.layout import ANNOTATION_FILE, SPLITS
from dataset.sources.local_folder import LocalFolder

SQUARE = [2.0, 2.0, 8.0, 2.0, 8.0, 8.0, 2.0, 8.0]  # covers rows and columns 2 to 7
TRIANGLE = [1.0, 1.0, 11.0, 2.0, 4.0, 9.0]


def options(size=(16, 16), channels=1, multi_class=False, skip=False, workers=2, **more) -> IngestOptions:
    return IngestOptions(size, channels, multi_class, skip, workers, **more)


def noise(height: int, width: int, seed: int, channels: int = 1) -> np.ndarray:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return picture[..., 0] if channels == 1 else picture


def png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def read_image(path: Path, height: int, width: int, channels: int, **how: Any) -> tuple[np.ndarray, bool]:
    request = DecodeRequest(height, width, channels, **how)
    decoded = decode_image(read_image_file(LocalFolder(path.parent), path.name), request)
    return decoded.pixels, decoded.rescaled


class CocoFolder:
    """A data set of which every split starts with one 16 x 16 image with one square; change it, then `write`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, dict[str, bytes]] = {}
        self.content: dict[str, dict[str, Any]] = {}
        for i, split in enumerate(SPLITS):
            self.files[split] = {}
            self.content[split] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "lesion"}]}
            self.image(split, "first.png", png(noise(16, 16, i)))
            self.annotation(split, 1)

    def image(self, split: str, name: str, data: bytes | None, size=(16, 16), **entry: Any) -> int:
        """Adds an image and its file (None: no file) and returns its id."""
        images = self.content[split]["images"]
        image_id = entry.pop("id", len(images) + 1)
        images.append({"id": image_id, "file_name": name, "height": size[0], "width": size[1], **entry})
        if data is not None:
            self.files[split][name] = data
        return image_id

    def annotation(self, split: str, image_id: int, segmentation: Any = None, **entry: Any) -> int:
        annotations = self.content[split]["annotations"]
        new = {"id": len(annotations) + 1, "image_id": image_id, "category_id": 1, "iscrowd": 0}
        new["segmentation"] = [SQUARE] if segmentation is None else segmentation
        annotations.append({**new, **entry})
        return annotations[-1]["id"]

    def write(self) -> Path:
        for split in SPLITS:
            (self.root / split).mkdir(parents=True, exist_ok=True)
            for name, data in self.files[split].items():
                path = self.root / split / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            (self.root / split / ANNOTATION_FILE).write_text(json.dumps(self.content[split]))
        return self.root
