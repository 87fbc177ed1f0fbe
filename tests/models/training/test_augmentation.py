"""Augmentation: masks stay labels and stay where the images are."""

from __future__ import annotations

import pytest
import torch

from models.training.augmentation import Augmentation, augment

NOTHING = Augmentation(
    flips=False, quarter_turns=False, degrees=0.0, scale=0.0, shift=0.0, gain=0.0, offset=0.0, noise=0.0
)
FULL = Augmentation(degrees=10.0, scale=0.1, shift=0.05)
RIGID = Augmentation(degrees=0.0, scale=0.0, shift=0.0, gain=0.0, offset=0.0, noise=0.0)
GEOMETRY = Augmentation(degrees=10.0, scale=0.1, shift=0.05, gain=0.0, offset=0.0, noise=0.0)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _batch(number=16, height=32, width=32):
    """Images that show their own mask: a rectangle of value 1 in each, at a different place."""
    masks = torch.zeros(number, height, width, dtype=torch.long)
    for index in range(number):
        masks[index, 4 + index % 5 : 14, 6 : 20 + index % 7] = 1
    return masks.unsqueeze(1).float(), masks


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_masks_stay_aligned_with_the_images(size):
    images, masks = _batch(64, *size)
    moved, moved_masks = augment(images, masks, _generator(), GEOMETRY)
    assert not torch.equal(moved_masks, masks)
    wrong = ((moved[:, 0] > 0.5).long() != moved_masks).float().mean()
    # Bilinear above a half and nearest differ in pixels of the edge alone; measured 0.0003 and 0.0005.
    assert wrong < 0.002
    # Negative control: with the masks of another draw they do not agree.
    _, other = augment(images, masks, _generator(1), GEOMETRY)
    assert ((moved[:, 0] > 0.5).long() != other).float().mean() > 0.05


def test_masks_keep_their_labels_shape_and_type():
    images = torch.randn(8, 3, 20, 24, generator=_generator())
    masks = torch.randint(5, (8, 20, 24), generator=_generator(1))
    moved, moved_masks = augment(images, masks, _generator(2), FULL)
    assert (moved.shape, moved.dtype) == (images.shape, images.dtype)
    assert (moved_masks.shape, moved_masks.dtype) == (masks.shape, masks.dtype)
    assert set(moved_masks.unique().tolist()) == {0, 1, 2, 3, 4}


def test_one_seed_gives_one_result():
    images, masks = _batch()
    first, again, other = (augment(images, masks, _generator(seed), FULL) for seed in (3, 3, 4))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_the_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    augment(*_batch(), _generator(), FULL)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_augmentation_changes_nothing():
    images, masks = torch.randn(4, 1, 17, 23, generator=_generator()), torch.ones(4, 17, 23, dtype=torch.long)
    same, same_masks = augment(images, masks, _generator(), NOTHING)
    torch.testing.assert_close(same, images, rtol=0, atol=1e-5)
    assert torch.equal(same_masks, masks)


def test_a_square_image_takes_all_eight_orientations_and_keeps_its_values():
    image = torch.arange(9.0).view(1, 1, 3, 3)
    images, masks = image.repeat(200, 1, 1, 1), image[0].long().repeat(200, 1, 1)
    moved, moved_masks = augment(images, masks, _generator(), RIGID)
    torch.testing.assert_close(moved[:, 0], moved_masks.float(), rtol=0, atol=1e-4)
    found = {tuple(mask.flatten().tolist()) for mask in moved_masks}
    turned = [torch.rot90(mask, k) for k in range(4) for mask in (image[0, 0].long(), image[0, 0].long().fliplr())]
    assert found == {tuple(mask.flatten().tolist()) for mask in turned}


def test_an_oblong_image_takes_the_four_orientations_that_fit():
    image = torch.arange(6.0).view(1, 1, 2, 3)
    _, masks = augment(image.repeat(100, 1, 1, 1), image[0].long().repeat(100, 1, 1), _generator(), RIGID)
    label = image[0, 0].long()
    expected = [label, label.fliplr(), label.flipud(), label.fliplr().flipud()]
    assert {tuple(mask.flatten().tolist()) for mask in masks} == {tuple(mask.flatten().tolist()) for mask in expected}


def test_each_image_is_changed_on_its_own():
    images, masks = _batch(1)
    moved, _ = augment(images.repeat(4, 1, 1, 1), masks.repeat(4, 1, 1), _generator(), FULL)
    assert len({tuple(image.flatten().tolist()) for image in moved}) == 4


def test_a_square_in_an_oblong_image_stays_a_square():
    masks = torch.zeros(64, 40, 80, dtype=torch.long)
    masks[:, 10:30, 30:50] = 1
    rotation = Augmentation(degrees=30.0, scale=0.0, shift=0.0)
    _, moved = augment(masks.unsqueeze(1).float(), masks, _generator(), rotation)
    spreads = [torch.linalg.eigvalsh(torch.cov(mask.nonzero().T.float())) for mask in moved]
    # Its spread is the same along all axes: measured 1.00, and 4.35 where the stretch is not undone.
    assert max((spread[1] / spread[0]).item() for spread in spreads) < 1.02


def test_layout_is_kept():
    images, masks = torch.randn(4, 3, 16, 16), torch.zeros(4, 16, 16, dtype=torch.long)
    assert augment(images, masks, _generator(), FULL)[0].is_contiguous()
    last, _ = augment(images.contiguous(memory_format=torch.channels_last), masks, _generator(), FULL)
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_masks_of_another_size_are_refused():
    with pytest.raises(ValueError, match="images and masks have shapes"):
        augment(torch.zeros(2, 1, 8, 8), torch.zeros(2, 8, 9), _generator(), FULL)
