"""Masks as run-length code: what goes in comes out, from memory and from disk."""

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from models.evaluation.coded_masks import CodedMasks, MaskCoder, encoded


def masks(number: int, labels: int, seed: int = 0) -> np.ndarray:
    """Noise: the masks of most runs."""
    return np.random.default_rng(seed).integers(0, labels + 1, (number, 9, 13)).astype(np.uint8)


def coded(parts: list[np.ndarray], labels: int) -> CodedMasks:
    coder = MaskCoder(labels)
    for part in parts:
        coder.add(part)
    return coder.finish()


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("batch", [1, 4, 7])
def test_masks_come_out_as_they_went_in_whatever_the_batches(labels: int, batch: int) -> None:
    given = masks(7, labels)
    made = coded([given[first : first + batch] for first in range(0, 7, batch)], labels)
    assert (len(made), made.labels, made.size) == (7, labels, (9, 13))
    np.testing.assert_array_equal(np.stack([made.decoded(row) for row in range(7)]), given)
    assert made.digest() == coded([given], labels).digest()


def test_empty_and_full_masks_have_a_code() -> None:
    made = coded([np.stack([np.zeros((4, 6), np.uint8), np.ones((4, 6), np.uint8)])], 1)
    assert made.codes(0) == ["h0"]
    assert made.decoded(0).sum() == 0
    assert made.decoded(1).sum() == 24


def test_the_code_is_that_of_coco() -> None:
    area = masks(1, 1)[0].astype(bool)
    again = coco.decode({"size": [9, 13], "counts": encoded(area)})
    np.testing.assert_array_equal(again.astype(bool), area)


def test_stored_masks_are_read_from_disk_one_by_one(tmp_path: Path) -> None:
    made = coded([masks(5, 2)], 2)
    made.save(tmp_path)
    again = CodedMasks.open(tmp_path)
    assert isinstance(again.runs, np.memmap)
    assert [again.codes(row) for row in range(5)] == [made.codes(row) for row in range(5)]
    assert again.digest() == made.digest()


def test_other_masks_have_another_digest() -> None:
    assert coded([masks(3, 1)], 1).digest() != coded([masks(3, 1, seed=1)], 1).digest()


def test_masks_of_another_size_are_refused() -> None:
    coder = MaskCoder(1)
    coder.add(masks(1, 1))
    with pytest.raises(ValueError, match=r"masks of \(3, 3\) follow masks of \(9, 13\)"):
        coder.add(np.zeros((1, 3, 3), np.uint8))


@pytest.mark.parametrize("row", [-1, 2])
def test_an_image_that_is_not_there_is_named(row: int) -> None:
    with pytest.raises(IndexError, match=f"no image {row}: masks of 2 images are known"):
        coded([masks(2, 1)], 1).codes(row)
