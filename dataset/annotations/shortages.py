"""What keeps a data set from being learned from and tested on, even if bad samples are skipped."""

from collections.abc import Mapping, Sequence

from dataset.annotations.coco import SplitAnnotations
from dataset.errors import Refusal
from dataset.sources.source import Source
from dataset.split_statistics import SplitStatistics


def detection_exports(source: Source, parts: Sequence[SplitAnnotations]) -> list[str]:
    """Returns a sentence for each annotation file whose objects all have bounding boxes and no outlines."""
    return [
        f"{source.location(part.split)}: this is a detection export: its {part.boxes} objects have bounding boxes and "
        "no outlines, and a box is no mask; export it for segmentation (polygons or RLE), or outline the objects first"
        for part in parts
        if part.boxes
    ]


def shortages(
    source: Source, statistics: Mapping[str, SplitStatistics], refused: Sequence[Refusal], at_fault: set[str]
) -> list[str]:
    """Returns which splits hold too little for training and testing, except those whose faults are reported anyway."""
    found = [
        f"{source.location(split)}: every sample was refused; the first: {_first(refused, split)}"
        for split in statistics
        if split not in at_fault and not statistics[split].samples
    ]
    train = statistics.get("train")
    if train is not None and train.samples and not train.areas and "train" not in at_fault:
        found.append(
            f"{source.location('train')}: no training image has an object, so there is nothing to learn: "
            "annotate objects, or use larger images if they are too small to be seen"
        )
    return found


def _first(refused: Sequence[Refusal], split: str) -> Refusal:
    return next(refusal for refusal in refused if refusal.split == split)
