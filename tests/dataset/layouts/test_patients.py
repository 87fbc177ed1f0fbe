"""Which folders are patients."""

from dataset.layouts.file_roles import role_of
from dataset.layouts.patients import patients_of


def patients(*names):
    return patients_of([role_of(name) for name in names])


def test_folders_with_numbers_are_patients():
    assert patients("p1/a.png", "p1/b.png", "p2/a.png", "p3/a.png") == ["p1", "p1", "p2", "p3"]


def test_a_folder_around_all_is_no_patient():
    names = [f"release_3m/TCGA_{i}/{j}.png" for i in range(3) for j in range(2)]
    assert patients(*names) == [f"release_3m/TCGA_{i}" for i in range(3) for _ in range(2)]


def test_folders_within_a_patient_divide_no_patient():
    assert patients(*(f"case_{i}/visit_{j}/a.png" for i in range(3) for j in range(2))) == [
        f"case_{i}" for i in range(3) for _ in range(2)
    ]


def test_folders_of_splits_images_and_masks_are_no_part_of_a_patient():
    assert patients("train/images/p1/a.png", "val/images/p1/b.png", "test/p2/images/a.png", "test/p3/a.png") == [
        "p1",
        "p1",
        "p2",
        "p3",
    ]


def test_folders_of_classes_are_no_patients():
    assert patients("benign/1.png", "malignant/1.png", "normal/1.png") == [None] * 3
