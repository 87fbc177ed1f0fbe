"""Converts a COCO data set to image and mask files in pairs, without splits."""

import shutil
from pathlib import Path

import cv2
import numpy as np

from dataset.annotations.coco import read_annotations
from dataset.images.masks import LabelledObject, draw_mask
from dataset.layout import SPLITS
from dataset.sources.local_folder import LocalFolder


def to_pairs(coco: Path, pairs: Path) -> dict[str, str]:
    """Writes `images/` with the files of all splits as they are, and `masks/` with a PNG of 0 and 255 for each.

    A mask is drawn as the ingestion of COCO draws it, at the image's own size.

    Args:
        coco: A data set in split folders.
        pairs: A folder to write.

    Returns:
        The split of each image by the name of its file.
    """
    source = LocalFolder(coco)
    splits: dict[str, str] = {}
    for folder in ("images", "masks"):
        (pairs / folder).mkdir(parents=True)
    for split in SPLITS:
        for sample in read_annotations(source, split).samples:
            size = sample.height, sample.width
            objects = [LabelledObject(annotation.segmentation, 1) for annotation in sample.annotations]
            name = f"{split}_{Path(sample.file_name).name}"
            shutil.copy(coco / split / sample.file_name, pairs / "images" / name)
            mask = np.asarray(draw_mask(objects, size, size).pixels * 255, np.uint8)
            cv2.imwrite(str((pairs / "masks" / name).with_suffix(".png")), mask)
            splits[name] = split
    return splits
