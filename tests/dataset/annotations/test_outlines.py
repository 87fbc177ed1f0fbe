"""Segmentations at the edge of what can be drawn: extreme polygons and run lengths."""

import time

import numpy as np
import pytest

from dataset.annotations.segmentation import MAX_OUTLINE, check_segmentation, decompress_counts
from dataset.images.masks import LabelledObject, draw_mask

H, W = 40, 50


def draw(segmentation, height=H, width=W) -> tuple[np.ndarray, int]:
    return draw_mask(
        [LabelledObject(check_segmentation(segmentation, height, width), 1)], (height, width), (height, width)
    )[:2]


def circle(points: int, radius: float) -> list[float]:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([500 + radius * np.cos(angle), 500 + radius * np.sin(angle)], axis=1).ravel().tolist()


@pytest.mark.parametrize(
    "polygon",
    [
        [5.0, 5.0, 5.0, 5.0, 5.0, 5.0],
        [2.0, 2.0, 8.0, 8.0, 2.0, 2.0],
        [2.0, 2.0, 8.0, 2.0, 5.0, 2.0],
        [-20.0, -20.0, -10.0, -20.0, -10.0, -10.0],
    ],
    ids=["point", "diagonal", "line", "outside"],
)
def test_polygon_without_area_in_the_image_covers_nothing_and_is_counted(polygon):
    mask, empty = draw([polygon])
    assert (mask.sum(), empty) == (0, 1)


def test_polygon_that_crosses_itself_is_filled_by_even_and_odd():
    """A bow tie of two triangles, as pycocotools draws it, row by row of its columns 2 to 7."""
    mask, _ = draw([[2.0, 2.0, 8.0, 8.0, 8.0, 2.0, 2.0, 8.0]])
    rows = ["100001", "110011", "111111", "110011", "100001"]
    assert ["".join(map(str, row)) for row in mask[2:7, 2:8]] == rows
    assert mask.sum() == sum(row.count("1") for row in rows)


def test_same_polygon_twice_is_united_not_a_hole():
    square = [2.0, 2.0, 12.0, 2.0, 12.0, 12.0, 2.0, 12.0]
    assert draw([square])[0].sum() == 100
    assert draw([square, square])[0].sum() == 100


def test_polygon_of_100_000_points_is_drawn():
    begin = time.process_time()
    mask, _ = draw([circle(100_000, 400.0)], 1000, 1000)
    assert mask.sum() == pytest.approx(np.pi * 400**2, rel=1e-3)  # measured 0.99999
    assert time.process_time() - begin < 10  # measured 0.1


def test_annotation_of_1_000_polygons_is_drawn():
    squares = [
        [x, y, x + 3.0, y, x + 3.0, y + 3.0, x, y + 3.0]
        for x in np.arange(0.0, 200.0, 5.0).tolist()
        for y in np.arange(0.0, 125.0, 5.0).tolist()
    ]
    assert len(squares) == 1000
    assert draw(squares, 125, 200)[0].sum() == 9 * 1000


def test_outline_that_would_exhaust_memory_is_refused():
    """pycocotools walks every pixel of the outline at five times the resolution: this one would take 40 GB."""
    scribble = np.random.default_rng(0).uniform(0, 8000, 200_000).tolist()
    with pytest.raises(ValueError, match=f"the outline is .* pixels long, the limit is {MAX_OUTLINE}: simplify it"):
        check_segmentation([scribble], 8192, 8192)


def test_many_long_polygons_count_together():
    long = np.tile([0.0, 0.0, 8000.0, 8000.0], 50).tolist()
    assert check_segmentation([long] * 2, 8192, 8192)
    with pytest.raises(ValueError, match="the outline is 2400000 pixels long"):
        check_segmentation([long] * 3, 8192, 8192)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([10**400], "must be a list of whole numbers"),
        ([2**62, 2**62], "do not add up"),
        ([True] * (H * W), "must be a list of whole numbers"),
        ([float("nan")], "must be a list of whole numbers"),
        ([None], "must be a list of whole numbers"),
        ([[H * W]], "must be a list of whole numbers, not a list"),
        ([-1, H * W + 1], "do not add up"),
        ([], "do not add up"),
        ("P" * 40 + "0", "more than 30 bit"),
        ("\ud800", "no compressed run"),
        ("o" * 1_000_000 + "0", "more than 30 bit"),
    ],
)
def test_run_lengths_that_no_mask_has_are_refused_at_once(counts, message):
    begin = time.process_time()
    with pytest.raises(ValueError, match=message) as caught:
        check_segmentation({"size": [H, W], "counts": counts}, H, W)
    assert len(str(caught.value)) < 200
    assert time.process_time() - begin < 2


def test_largest_number_of_compressed_runs_is_read():
    assert decompress_counts("ooooo0").tolist() == [2**25 - 1]


def test_size_of_run_lengths_is_shown_short():
    with pytest.raises(ValueError, match="the RLE has size a list, the image is"):
        check_segmentation({"size": [1] * 100_000, "counts": []}, H, W)
