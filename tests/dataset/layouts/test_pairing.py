"""Which mask belongs to which image, by names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.layouts.file_roles import NIFTI, PICTURES
from dataset.layouts.pairing import pair_names


def found(names, endings=PICTURES, modality=None):
    pairs = pair_names(names, endings, endings, modality)
    return [(pair.image.name, pair.mask.name) for pair in pairs.found]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/x.png", "masks/x.png"),
        ("images/x.jpg", "masks/x.png"),
        ("images/x.jpg", "masks/x_mask.png"),
        ("imgs/x.tif", "labels/x.tif"),
        ("a/images/x.png", "a/masks/x.png"),
        ("images/train/x.png", "masks/train/x.png"),
        ("train/images/x.png", "train/masks/x.png"),
        ("train/x.jpg", "train_masks/x_mask.gif"),
        ("train_images/x.png", "train_masks/x.png"),
        ("images/val/x.png", "labels/validation/x.png"),
        ("x.tif", "x_mask.tif"),
        ("p1/x.tif", "p1/x_mask.tif"),
        ("x.png", "x-seg.png"),
        ("x.png", "x_label.png"),
        ("x_image.png", "x_mask.png"),
        ("p1/image.png", "p1/mask.png"),
        ("images/1.PNG", "masks/1.png"),
    ],
)
def test_image_and_mask_are_found_by_usual_names(image, mask):
    assert found([image, mask]) == [(image, mask)]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"),
        ("imagesTr/a.nii.gz", "labelsTr/a.nii.gz"),
        ("a.nii.gz", "a_seg.nii.gz"),
        ("case_1/imaging.nii.gz", "case_1/segmentation.nii.gz"),
        ("case_1/image.nii", "case_1/label.nii.gz"),
        ("p1/p1_t1.nii.gz", "p1/p1_seg.nii.gz"),
        ("G-1/G-1-t1c.nii.gz", "G-1/G-1-seg.nii.gz"),
    ],
)
def test_volume_and_mask_are_found_by_usual_names(image, mask):
    assert found([image, mask], NIFTI) == [(image, mask)]


BRATS = [f"p{i}/p{i}_{end}.nii.gz" for i in (1, 10) for end in ("flair", "t1", "t1ce", "t2", "seg")]


def test_several_images_of_a_mask_are_named_and_one_can_be_chosen():
    pairs = pair_names(BRATS, NIFTI, NIFTI)
    assert not pairs.found
    assert not pairs.refused
    assert pairs.modalities == {"flair", "t1", "t1ce", "t2"}
    assert found(BRATS, NIFTI, "FLAIR") == [(f"p{i}/p{i}_flair.nii.gz", f"p{i}/p{i}_seg.nii.gz") for i in (1, 10)]


def test_a_number_that_was_read_as_such_chooses_the_image():
    names = ["imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz"]
    assert found(names, NIFTI, "1") == [("imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz")]


def test_an_image_with_a_mask_of_its_own_is_no_other_image_of_another_mask():
    names = ["x_1.tif", "x_1_mask.tif", "x_1_2.tif", "x_1_2_mask.tif"]
    assert found(names) == [("x_1.tif", "x_1_mask.tif"), ("x_1_2.tif", "x_1_2_mask.tif")]


@pytest.mark.parametrize(
    ("names", "file", "reason"),
    [
        (["x.png", "x_mask.png", "y.png"], "y.png", "the image has no mask"),
        (["x.png", "x_mask.png", "y_mask.png"], "y_mask.png", "the mask has no image"),
        (["x.png", "x.jpg", "x_mask.png"], "x.jpg", "2 files have the name of one image"),
        (["x.png", "x_mask.png", "x_seg.png"], "x.png", "2 masks have the name of one image"),
        (["images/a.png", "masks/a.png", "images/b.png"], "images/b.png", "the image has no mask"),
        (["a\n.png", "a\n_mask.png", "b.png", "b_mask.png"], "a\\n.png", "control characters"),
    ],
)
def test_what_has_no_partner_or_several_is_refused_by_name(names, file, reason):
    refused = pair_names(names, PICTURES, PICTURES).refused
    assert any(each.file_name == file and reason in each.reason for each in refused)


def test_images_of_a_split_without_any_mask_are_left_out_and_named():
    pairs = pair_names(["imagesTr/a.nii", "labelsTr/a.nii", "imagesTs/b.nii"], NIFTI, NIFTI)
    assert pairs.without_masks == ["imagesTs/b.nii"]
    assert not pairs.refused


def test_files_beside_the_folders_of_images_and_masks_are_named():
    pairs = pair_names(["images/a.png", "masks/a.png", "preview/a.png"], PICTURES, PICTURES)
    assert pairs.beside == ["preview/a.png"]
    assert len(pairs.found) == 1


NAMES = st.lists(
    st.builds(
        lambda folder, stem, end: f"{folder}{stem}{end}.png",
        st.sampled_from(["", "images/", "masks/", "p1/", "train/images/", "train/masks/", "val/"]),
        st.sampled_from(["a", "b", "a_1", "a_10"]),
        st.sampled_from(["", "_mask", "_seg", "_t1", "_t2"]),
    ),
    unique=True,
)


@given(names=NAMES, modality=st.sampled_from([None, "t1"]))
def test_no_file_is_lost_or_used_twice(names, modality):
    pairs = pair_names(names, PICTURES, PICTURES, modality)
    used = [role.name for pair in pairs.found for role in (pair.image, pair.mask)]
    assert len(used) == len({*used})
    told = [refusal.file_name for refusal in pairs.refused] + pairs.without_masks + pairs.beside
    lost = {*names} - {*used} - {*told}
    if not pairs.modalities and modality is None:  # else they are other images of a mask
        assert all("mask" in name or "_seg" in name for name in lost), "their images are refused"
    assert pair_names([*reversed(names)], PICTURES, PICTURES, modality) == pairs
