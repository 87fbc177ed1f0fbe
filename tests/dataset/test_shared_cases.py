"""Small data sets, each irregular in one way, whose objects are brighter than what surrounds them."""

import pytest

from dataset.ingest import ingest
from dataset.layout import SPLITS
from tests.dataset.coco_folder import options

SIZE = (80, 110)
RIGHT = {  # what the manifest says
    "off_by_one": ("notes", "differ by one pixel in size"),
    "flat_segmentation": ("notes", "read as one polygon"),
    "backslash": ("notes", "slightly other name"),
    "category_only_in_test": ("warnings", "class 'edema' has no object in train"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_case_is_read_with_its_objects_in_place_and_said(name, shared_cases, tmp_path):
    stored = ingest(shared_cases / name, tmp_path / "stored", options(size=SIZE, multi_class=True))
    for split in SPLITS:
        for image, mask in zip(stored[split].images[..., 0].astype(float), stored[split].masks, strict=True):
            assert image[mask > 0].mean() - image[mask == 0].mean() > 80
    place, text = RIGHT[name]
    assert any(text in line for line in getattr(stored.manifest, place))
