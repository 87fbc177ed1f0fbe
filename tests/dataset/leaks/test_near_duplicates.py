"""Images of different splits that show nearly the same."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.leaks import near_duplicates as module
from dataset.leaks.near_duplicates import ALIKE, Match, near_duplicates, thumbnail


def picture(seed: int, size: int = 128) -> NDArray[np.uint8]:
    """Blobs of all sizes: (size, size, 1)."""
    noise = np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)
    levels = [cv2.GaussianBlur(noise, (0, 0), scale) * scale for scale in (2, 5, 12)]
    return cv2.normalize(np.sum(levels, axis=0), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)[..., None]


def small(*pictures: NDArray[np.uint8]) -> bytes:
    return b"".join(thumbnail(each) for each in pictures)


OTHERS = [picture(100 + seed) for seed in range(20)]
COPIES = {
    "the same": lambda image: image,
    "mirrored": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "turned by 90 degrees": np.rot90,
    "turned and mirrored": lambda image: np.rot90(image)[:, ::-1],
    "noisy": lambda image: np.clip(image + np.random.default_rng(0).normal(0, 10, image.shape), 0, 255),
    "brighter": lambda image: image * 0.6 + 90,
    "sharpened": lambda image: np.clip(2.5 * image - 1.5 * cv2.GaussianBlur(image, (0, 0), 1)[..., None], 0, 255),
    "compressed": lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [1, 20])[1], 0)[..., None],
    "smaller": lambda image: cv2.resize(image, (90, 90), interpolation=cv2.INTER_AREA)[..., None],
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_found_among_others(copy: str) -> None:
    changed = np.ascontiguousarray(COPIES[copy](picture(7).astype(np.float32) if copy != "compressed" else picture(7)))
    train = small(*OTHERS[:5], picture(7), *OTHERS[5:10])
    (match,) = near_duplicates({"train": train, "test": small(OTHERS[15], changed.astype(np.uint8))})
    assert (match.splits, match.rows) == (("train", "test"), (5, 1))
    assert ALIKE <= match.correlation <= 1


def test_different_images_are_not_alike() -> None:
    assert near_duplicates({"train": small(*OTHERS[:10]), "test": small(*OTHERS[10:])}) == []


def test_within_a_split_nothing_is_compared() -> None:
    assert near_duplicates({"train": small(OTHERS[0], OTHERS[0]), "test": small(OTHERS[1])}) == []


def test_blank_images_are_like_none() -> None:
    blank = np.full((64, 64, 1), 40, dtype=np.uint8)
    assert near_duplicates({"train": small(blank), "valid": small(blank), "test": small(blank + 1)}) == []


def test_colour_is_compared_as_gray() -> None:
    gray = picture(7)
    assert len(near_duplicates({"train": small(gray), "test": small(np.repeat(gray, 3, axis=2))})) == 1


def test_a_split_without_images_is_like_none() -> None:
    assert near_duplicates({"train": b"", "valid": small(OTHERS[0]), "test": b""}) == []


def slow(first: list[NDArray], second: list[NDArray]) -> NDArray[np.float64]:
    """All correlations, one pair and one position at a time."""

    def fine(image: NDArray) -> NDArray[np.float64]:
        gray = np.frombuffer(thumbnail(image), np.uint8).reshape(32, 32).astype(np.float64)
        return gray - cv2.GaussianBlur(gray, (19, 19), 3, borderType=cv2.BORDER_REPLICATE)

    def position(image: NDArray[np.float64], number: int) -> NDArray[np.float64]:
        turned = np.rot90(image, number % 4)
        return turned if number < 4 else turned[:, ::-1]

    return np.array(
        [
            [
                max(np.corrcoef(fine(one).ravel(), position(fine(other), k).ravel())[0, 1] for k in range(8))
                for other in second
            ]
            for one in first
        ]
    )


@pytest.mark.parametrize("blocks", [(2048, 512), (3, 4), (1, 1)])
def test_blocks_and_the_first_look_lose_no_pair(blocks: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that are mixed more and more: correlations of about 0.8 to 1."""
    monkeypatch.setattr(module, "_ROWS", blocks[0])
    monkeypatch.setattr(module, "_COLUMNS", blocks[1])
    first = [picture(seed) for seed in range(4)]
    second = [
        (one.astype(float) * (1 - part) + other.astype(float) * part).astype(np.uint8)
        for one, other in zip(first, OTHERS, strict=False)
        for part in (0.05, 0.15, 0.2, 0.25, 0.3, 0.4)
    ]
    correlations = slow(first, second)
    expected = {column: int(row) for column, row in enumerate(correlations.argmax(0))}
    expected = {column: row for column, row in expected.items() if correlations[row, column] >= ALIKE}
    assert 4 <= len(expected) < len(second)
    found = near_duplicates({"train": small(*first), "test": small(*second)})
    assert {match.rows[1]: match.rows[0] for match in found} == expected
    for match in found:
        assert match.correlation == pytest.approx(correlations[match.rows], abs=1e-4)


def test_the_most_alike_of_several_is_named() -> None:
    noise = np.random.default_rng(0).normal(0, 14, (128, 128, 1))
    noisy = np.clip(picture(7) + noise, 0, 255).astype(np.uint8)
    matches = near_duplicates({"train": small(noisy, picture(7)), "test": small(picture(7))})
    assert matches == [Match(("train", "test"), (1, 0), pytest.approx(1, abs=1e-5))]
