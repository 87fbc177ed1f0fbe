import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from skimage.draw import polygon as fill_polygon

from dataset.annotations.segmentation import check_segmentation, decompress_counts, is_rectangle
from dataset.images.masks import LabelledObject, draw_mask

SQUARE = [2.0, 2.0, 8.0, 2.0, 8.0, 8.0, 2.0, 8.0]
H, W = 40, 50


def blob(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((H, W)) < 0.3).astype(np.uint8)


def runs_of(mask: np.ndarray) -> list[int]:
    """Uncompressed COCO run lengths, written down independently."""
    runs, current = [0], 0
    for value in mask.ravel(order="F").tolist():
        if value != current:
            runs.append(0)
            current = value
        runs[-1] += 1
    return runs


def draw(*segmentations, labels=None, size=(H, W), stored=None) -> np.ndarray:
    labels = labels or [1] * len(segmentations)
    shapes = [
        LabelledObject(check_segmentation(s, *size), label) for s, label in zip(segmentations, labels, strict=True)
    ]
    return draw_mask(shapes, size, stored or size)[0]


def test_square_covers_its_pixels_exactly():
    expected = np.zeros((H, W), np.uint8)
    expected[2:8, 2:8] = 1
    np.testing.assert_array_equal(draw([SQUARE]), expected)


def test_polygon_agrees_with_pycocotools_and_scikit_image(capsys):
    rng = np.random.default_rng(1)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
    radii = rng.uniform(8, 16, 12)
    x, y = 25 + radii * np.cos(angles), 20 + radii * np.sin(angles)
    segmentation = [np.stack([x, y], axis=1).ravel().tolist()]
    mask = draw(segmentation)
    coco = COCO()
    coco.imgs = {1: {"height": H, "width": W}}
    np.testing.assert_array_equal(mask, coco.annToMask({"image_id": 1, "segmentation": segmentation}))
    rows, columns = fill_polygon(y - 0.5, x - 0.5, (H, W))  # scikit-image counts from pixel centres
    filled = np.zeros((H, W), np.uint8)
    filled[rows, columns] = 1
    assert np.count_nonzero(filled != mask) <= 0.02 * mask.sum()  # measured 0.008: border pixels


def test_several_polygons_of_an_annotation_are_united():
    far = [value + 20 for value in SQUARE]
    np.testing.assert_array_equal(draw([SQUARE, far]), draw([SQUARE]) | draw([far]))


def test_polygon_beyond_the_border_is_clipped():
    mask = draw([[-5.0, -5.0, 5.0, -5.0, 5.0, 5.0, -5.0, 5.0]])
    expected = np.zeros((H, W), np.uint8)
    expected[:5, :5] = 1
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("seed", range(5))
def test_rle_gives_its_mask_compressed_or_not(seed):
    mask = blob(seed)
    compressed = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    np.testing.assert_array_equal(draw({"size": [H, W], "counts": compressed}), mask)
    np.testing.assert_array_equal(draw({"size": [H, W], "counts": runs_of(mask)}), mask)


@pytest.mark.parametrize("seed", range(5))
def test_own_decoder_of_compressed_runs_agrees_with_pycocotools(seed):
    mask = blob(seed)
    mask[:, 20:] = seed % 2  # long runs, several characters each
    compressed = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    assert decompress_counts(compressed).tolist() == runs_of(mask)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_small_object_is_never_hidden_by_a_larger_one(order):
    large = [0.0, 0.0, 20.0, 0.0, 20.0, 20.0, 0.0, 20.0]
    shapes, labels = [[[*large]], [SQUARE]], [1, 2]
    mask = draw(*(shapes[i] for i in order), labels=[labels[i] for i in order])
    assert np.count_nonzero(mask == 2) == 36
    assert np.count_nonzero(mask == 1) == 400 - 36


def test_objects_without_a_pixel_are_counted():
    speck = check_segmentation([[3.1, 3.1, 3.2, 3.1, 3.2, 3.2]], H, W)
    mask, empty, vanished = draw_mask([LabelledObject(speck, 1), LabelledObject([SQUARE], 1)], (H, W), (H, W))
    assert (empty, vanished) == (1, 1)
    assert mask.sum() == 36


def test_objects_without_a_stored_pixel_are_counted_even_where_others_lie():
    """A dot between the pixels that are taken, and a large object around it that shows there."""
    dot, around = [[3.0, 3.0, 4.0, 3.0, 4.0, 4.0, 3.0, 4.0]], [[0.0, 0.0, 20.0, 0.0, 20.0, 20.0, 0.0, 20.0]]
    mask, empty, vanished = draw_mask([LabelledObject(each, 1) for each in (dot, around)], (H, W), (10, 10))
    assert (empty, vanished) == (0, 1)
    assert mask.sum() == 5 * 4


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(("rows", "columns"), [(H + 1, W), (H, W - 1), (H - 1, W + 1)])
def test_run_lengths_of_a_size_that_is_one_pixel_off_stay_in_place(rows, columns, compressed):
    mask = np.zeros((rows, columns), np.uint8)
    mask[5:30, 10:40] = 1
    counts = coco_mask.encode(np.asfortranarray(mask))["counts"].decode() if compressed else runs_of(mask)
    expected = np.zeros((H, W), np.uint8)
    expected[5:30, 10:40] = 1
    np.testing.assert_array_equal(draw({"size": [rows, columns], "counts": counts}), expected)


def test_no_object_gives_an_empty_mask():
    assert draw().sum() == 0


@pytest.mark.parametrize("size", [(16, 16), (64, 100), (13, 57), (40, 50), (1, 1)])
def test_mask_takes_the_nearest_pixel_as_pillow_does(size):
    labels = np.random.default_rng(2).integers(0, 5, (H, W)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST))
    runs = [{"size": [H, W], "counts": runs_of(labels == label)} for label in range(1, 5)]
    np.testing.assert_array_equal(draw(*runs, labels=range(1, 5), stored=size), expected)


@given(data=st.data())
def test_stored_mask_has_the_pixels_of_the_drawn_one(data):
    """Whatever the sizes, and whether objects overlap, cross the border, or are of one run."""
    side = st.integers(1, 30)
    height, width, rows, columns = (data.draw(side) for _ in range(4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    polygons = [[(rng.uniform(-0.3, 1.3, (5, 2)) * [width, height]).ravel().tolist()] for _ in range(2)]
    full = (rng.random((height, width)) < data.draw(st.sampled_from([0, 0.3, 1]))).astype(np.uint8)
    shapes = [*polygons, {"size": [height, width], "counts": runs_of(full)}]
    drawn = draw(*shapes, labels=[1, 2, 3], size=(height, width))
    nearest = np.ix_(*((2 * np.arange(n) + 1) * side // (2 * n) for side, n in ((height, rows), (width, columns))))
    stored = draw(*shapes, labels=[1, 2, 3], size=(height, width), stored=(rows, columns))
    np.testing.assert_array_equal(stored, drawn[nearest])


GOOD_RLE = {"size": [H, W], "counts": [H * W]}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (None, "no segmentation"),
        ([], "no segmentation"),
        ("text", "no segmentation"),
        ([[1, 2, 3, 4, 5]], "5 numbers, an odd count"),
        ([[1, 2, 3, 4]], "2 points, at least 3"),
        ([SQUARE, [1, 2, 3, 4]], "2 points, at least 3"),
        ([SQUARE, []], "0 points, at least 3"),
        ([1, 2, 3, 4, 5, 6], "list of numbers"),
        ([["1", 2, 3, 4, 5, 6]], "list of numbers"),
        ([[True, 2, 3, 4, 5, 6]], "list of numbers"),
        ([[float("nan"), 2, 3, 4, 5, 6]], "not finite"),
        ([[float("inf"), 2, 3, 4, 5, 6]], "not finite"),
        ([[1e9, 2, 3, 4, 5, 6]], "scale the annotations"),
        ([[1, -41, 3, 4, 5, 6]], "scale the annotations"),
        ({**GOOD_RLE, "size": [W, H]}, "the RLE has size"),
        ({"counts": [H * W]}, "the RLE has size None"),
        ({**GOOD_RLE, "counts": None}, "list of whole numbers"),
        ({**GOOD_RLE, "counts": [1.5]}, "list of whole numbers"),
        ({**GOOD_RLE, "counts": [H * W - 1]}, "do not add up"),
        ({**GOOD_RLE, "counts": [H * W + 5, -5]}, "do not add up"),
        ({**GOOD_RLE, "counts": ""}, "do not add up"),
        ({**GOOD_RLE, "counts": "0"}, "do not add up"),
        ({**GOOD_RLE, "counts": "ä"}, "no compressed run"),
        ({**GOOD_RLE, "counts": "o"}, "end within a number"),
    ],
)
def test_bad_segmentation_is_refused_with_its_fault(raw, message):
    with pytest.raises(ValueError, match=message):
        check_segmentation(raw, H, W)


@pytest.mark.parametrize(
    ("segmentation", "expected"),
    [
        ([SQUARE], True),
        ([[*SQUARE, 2.0, 2.0]], True),
        ([[2.0, 2.0, 2.0, 8.0, 8.0, 8.0, 8.0, 2.0]], True),
        ([SQUARE, SQUARE], False),
        ([[2.0, 2.0, 8.0, 2.5, 8.0, 8.0, 2.0, 8.0]], False),
        ([[2.0, 2.0, 8.0, 8.0, 8.0, 2.0, 2.0, 8.0]], False),
        ([[2.0, 2.0, 8.0, 2.0, 8.0, 8.0]], False),
        (GOOD_RLE, False),
    ],
)
def test_rectangles_are_told_from_other_shapes(segmentation, expected):
    assert is_rectangle(segmentation) is expected
