"""Dividing images into splits."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.errors import DatasetError
from dataset.layout import SPLITS
from dataset.splitting import Item, divide, too_few

SHARES = (0.7, 0.15, 0.15)


def singles(images: int, lesions: int) -> list[Item]:
    return [Item(f"{number:04}.png", None, number < lesions) for number in range(images)]


def patients(count: int, seed: int) -> list[Item]:
    """Patients of 1 to 30 slices, of which none to all have a lesion."""
    rng = np.random.default_rng(seed)
    sizes, shares = rng.integers(1, 31, count), rng.uniform(0, 1, count)
    return [
        Item(f"p{patient}/{image}.png", f"p{patient}", bool(rng.random() < shares[patient]))
        for patient in range(count)
        for image in range(sizes[patient])
    ]


def table(items: list[Item], splits: list[str]) -> np.ndarray:
    """Images of each split with and without a lesion."""
    found = Counter((split, item.lesion) for item, split in zip(items, splits, strict=True))
    return np.array([[found[split, lesion] for lesion in (True, False)] for split in SPLITS], dtype=float)


def excess(items: list[Item], splits: list[str], shares: tuple[float, float, float]) -> float:
    """The sum of (images - target)^2 / target."""
    counts = table(items, splits)
    targets = np.outer(shares, counts.sum(0))
    return float((((counts - targets) ** 2)[targets > 0] / targets[targets > 0]).sum())


@pytest.mark.parametrize(("images", "lesions"), [(100, 40), (37, 36), (1000, 3), (20, 0)])
@pytest.mark.parametrize("shares", [SHARES, (0.5, 0.25, 0.25), (0.334, 0.333, 0.333)])
def test_without_groups_each_split_has_its_share_of_both_kinds_to_one_image(
    images: int, lesions: int, shares: tuple[float, float, float]
) -> None:
    items = singles(images, lesions)
    counts = table(items, divide(items, shares, 0))
    assert np.abs(counts - np.outer(shares, counts.sum(0))).max() < 1


@pytest.mark.parametrize("seed", range(5))
def test_no_division_of_few_patients_is_much_better(seed: int) -> None:
    """Of all 3^7 divisions that leave no split empty, the best one's deviation is at most 2 images less."""
    items = patients(7, seed)
    names = sorted({str(item.group) for item in items})
    found = excess(items, divide(items, SHARES, seed), SHARES)
    best = min(
        excess(items, [dict(zip(names, chosen, strict=True))[str(item.group)] for item in items], SHARES)
        for chosen in itertools.product(SPLITS, repeat=7)
        if len(set(chosen)) == 3
    )
    assert best <= found <= 1.5 * best + 1


@pytest.mark.parametrize("seed", range(5))
def test_of_60_patients_the_shares_come_out_to_two_hundredths(seed: int) -> None:
    items = patients(60, seed)
    counts = table(items, divide(items, SHARES, seed))
    assert np.abs(counts.sum(1) / len(items) - SHARES).max() < 0.02
    lesions = counts[:, 0] / counts.sum(1)
    assert np.abs(lesions - counts[:, 0].sum() / len(items)).max() < 0.05


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=3, max_size=60),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_groups_stay_whole_no_split_is_empty_and_the_order_says_nothing(
    rows: list[tuple[int, bool]], seed: int, order: random.Random
) -> None:
    items = [Item(f"{row}.png", f"p{group}" if group else None, lesion) for row, (group, lesion) in enumerate(rows)]
    units = {item.group or item.name for item in items}
    if len(units) < 3:
        with pytest.raises(DatasetError, match="cannot be divided"):
            divide(items, SHARES, seed)
        return
    of_name = dict(zip([item.name for item in items], divide(items, SHARES, seed), strict=True))
    assert set(of_name.values()) == set(SPLITS)
    for _, members in itertools.groupby(sorted(items, key=lambda i: i.group or i.name), lambda i: i.group or i.name):
        assert len({of_name[item.name] for item in members}) == 1
    order.shuffle(items)
    assert divide(items, SHARES, seed) == [of_name[item.name] for item in items]


def test_another_seed_divides_otherwise_and_the_same_one_alike() -> None:
    items = patients(40, 1)
    first, again, other = (divide(items, SHARES, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_large_and_small_patients_come_into_each_split() -> None:
    """The order of placing is drawn: were it by size, the test would always be of small patients."""
    items = [
        Item(f"{patient}/{image}.png", str(patient), True) for patient in range(20) for image in range(1 + patient)
    ]
    tested = Counter(
        item.group
        for seed in range(40)
        for item, split in zip(items, divide(items, SHARES, seed), strict=True)
        if split == "test" and item.name.endswith("/0.png")
    )
    assert min(tested[str(patient)] for patient in range(20)) >= 1


def test_a_split_without_a_share_gets_nothing() -> None:
    assert set(divide(singles(10, 5), (0.8, 0.0, 0.2), 0)) == {"train", "test"}


def test_a_tiny_share_gets_one_image() -> None:
    assert Counter(divide(singles(10, 5), (0.999, 0.0005, 0.0005), 0)) == {"train": 8, "valid": 1, "test": 1}


def test_one_name_is_never_divided() -> None:
    items = [Item("same.png", None, False)] * 4 + singles(6, 3)
    assert len(set(divide(items, SHARES, 0)[:4])) == 1


@pytest.mark.parametrize("shares", [(0.7, 0.2, 0.2), (1.2, -0.1, -0.1), (0.5, 0.5)])
def test_shares_that_are_none_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        divide(singles(10, 5), shares, 0)  # type: ignore[arg-type]


def test_fewer_groups_than_splits_are_refused() -> None:
    items = [Item(f"{number}.png", f"p{number % 2}", True) for number in range(50)]
    with pytest.raises(DatasetError, match="2 patients cannot be divided into 3 splits, as a patient is never divided"):
        divide(items, SHARES, 0, "patient")


@pytest.mark.parametrize(
    ("groups", "noun", "said"),
    [
        (
            1,
            "volume",
            "1 volume cannot be divided into 3 splits, as a volume is never divided: give data of more volumes",
        ),
        (
            2,
            "series",
            "2 series cannot be divided into 3 splits, as a series is never divided: give data of more series",
        ),
        (2, "image", "2 images cannot be divided into 3 splits: give more images"),
        (3, "image", None),
    ],
)
def test_too_few_are_called_what_they_are(groups: int, noun: str, said: str | None) -> None:
    assert too_few(groups, SHARES, noun) == said


def test_a_split_without_a_share_needs_no_group() -> None:
    assert too_few(2, (0.8, 0.0, 0.2), "patient") is None
