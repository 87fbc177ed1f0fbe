"""Metrics: tables computed by hand, MONAI as oracle."""

from __future__ import annotations

import math

import pytest
import torch
from monai.metrics import compute_dice, compute_iou

from models.evaluation.metrics import Counts, count_pixels, dice, iou, label_count, predicted_labels, summarise

A, B, EMPTY = [[1, 1], [0, 0]], [[1, 0], [1, 0]], [[0, 0], [0, 0]]


def _counts(prediction, truth, labels=2):
    return count_pixels(torch.tensor(prediction), torch.tensor(truth), labels)


@pytest.mark.parametrize(
    # one image of 2x2 pixels each
    ("prediction", "truth", "expected_dice", "expected_iou"),
    [
        (A, A, 1.0, 1.0),
        (A, B, 2 / 4, 1 / 3),  # tp 1, fp 1, fn 1
        (A, [[1, 0], [0, 0]], 2 / 3, 1 / 2),  # tp 1, fp 1
        (EMPTY, A, 0.0, 0.0),
        (A, EMPTY, 0.0, 0.0),
        (EMPTY, EMPTY, 1.0, 1.0),
    ],
)
def test_binary_dice_and_iou_match_the_hand_computed_table(prediction, truth, expected_dice, expected_iou):
    counts = _counts([prediction], [truth])
    assert dice(counts).item() == pytest.approx(expected_dice, abs=1e-15)
    assert iou(counts).item() == pytest.approx(expected_iou, abs=1e-15)


@pytest.mark.parametrize(
    # labels 0 to 2; the mean over labels 1 and 2 where present in truth or prediction
    ("prediction", "truth", "expected"),
    [
        ([[1, 2], [0, 0]], [[1, 2], [0, 0]], 1.0),
        ([[1, 1], [0, 0]], [[1, 0], [0, 0]], 2 / 3),  # label 2 is nowhere, so it does not count
        ([[1, 2], [0, 0]], [[1, 0], [0, 0]], 0.5),  # label 2 predicted for nothing: (1 + 0) / 2
        ([[2, 2], [0, 0]], [[1, 1], [0, 0]], 0.0),
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]], 1.0),
    ],
)
def test_multi_class_dice_matches_the_hand_computed_table(prediction, truth, expected):
    assert dice(_counts([prediction], [truth], labels=3)).item() == pytest.approx(expected, abs=1e-15)


def test_all_metrics_match_the_hand_computed_values():
    # image 1: tp 1, fp 1, fn 1, tn 1; image 2: nothing there, nothing predicted
    metrics = summarise(_counts([A, EMPTY], [B, EMPTY]))
    assert metrics.per_image == {
        "dice": [0.5, 1.0],
        "iou": [pytest.approx(1 / 3), 1.0],
        "lesion_px": [2.0, 0.0],
        "predicted_px": [2.0, 0.0],
        "overlap_px": [1.0, 0.0],
    }
    assert metrics.metrics == pytest.approx(
        {
            "dice": 0.75,
            "iou": 2 / 3,
            "dice_lesion": 0.5,
            "iou_lesion": 1 / 3,
            "recall_images": 1.0,
            "false_alarm_images": 0.0,
            "dice_global": 0.5,
            "iou_global": 1 / 3,
            "pixel_accuracy": 6 / 8,
            "precision": 0.5,
            "recall": 0.5,
        }
    )


def test_images_without_a_lesion_do_not_count_for_it():
    # a lesion half found, one missed, one confused with another place; two empty images, one with a false alarm
    truth = [B, B, [[1, 0], [0, 0]], EMPTY, EMPTY]
    found = summarise(_counts([A, EMPTY, [[0, 0], [0, 1]], EMPTY, A], truth)).metrics
    assert found["dice_lesion"] == pytest.approx(0.5 / 3)
    assert found["iou_lesion"] == pytest.approx(1 / 9)
    assert found["dice"] == pytest.approx(1.5 / 5)
    assert found["recall_images"] == pytest.approx(1 / 3)
    assert found["false_alarm_images"] == pytest.approx(1 / 2)


def test_what_no_image_can_tell_is_left_out():
    assert "false_alarm_images" not in summarise(_counts([A], [A])).metrics
    nothing = summarise(_counts([EMPTY], [EMPTY])).metrics
    assert not {"dice_lesion", "iou_lesion", "recall_images"} & set(nothing)
    assert nothing["false_alarm_images"] == 0


def test_each_class_is_measured_against_the_rest():
    truth, prediction = [[[1, 1], [2, 0]], [[0, 0], [2, 2]]], [[[1, 0], [2, 2]], [[1, 0], [2, 2]]]
    one, two = (each.metrics for each in summarise(_counts(prediction, truth, labels=3)).classes)
    assert one["dice_lesion"] == pytest.approx(2 / 3)
    assert (one["dice"], one["false_alarm_images"]) == (pytest.approx(1 / 3), 1.0)
    assert two["dice_lesion"] == pytest.approx((2 / 3 + 1) / 2)
    assert (one["pixel_accuracy"], two["dice_global"]) == (pytest.approx(6 / 8), pytest.approx(6 / 7))
    assert summarise(_counts([A], [A])).classes == []


def test_mean_over_images_differs_from_global():
    metrics = summarise(_counts([A, EMPTY], [A, [[0, 0], [0, 1]]])).metrics
    assert metrics["dice"] == 0.5
    assert metrics["dice_global"] == pytest.approx(2 * 2 / (2 + 3))


@pytest.mark.parametrize("labels", [2, 4])
def test_metrics_do_not_depend_on_the_batch_size(labels):
    generator = torch.Generator().manual_seed(0)
    prediction, truth = torch.randint(labels, (2, 7, 9, 8), generator=generator)
    whole = summarise(count_pixels(prediction, truth, labels))
    for size in (1, 2, 3, 5):
        parts = [count_pixels(p, t, labels) for p, t in zip(prediction.split(size), truth.split(size), strict=True)]
        assert summarise(Counts.concatenate(parts)) == whole


def test_dice_and_iou_agree_with_monai():
    generator = torch.Generator().manual_seed(0)
    prediction, truth = torch.randint(2, (2, 6, 9, 8), generator=generator)
    counts = count_pixels(prediction, truth, 2)
    for ours, theirs in ((dice, compute_dice), (iou, compute_iou)):
        oracle = theirs(prediction.unsqueeze(1), truth.unsqueeze(1))[:, 0]
        torch.testing.assert_close(ours(counts).float(), oracle.float(), rtol=0, atol=1e-6)


def test_multi_class_dice_agrees_with_monai():
    generator = torch.Generator().manual_seed(0)
    prediction, truth = torch.randint(4, (2, 6, 9, 8), generator=generator)
    one_hot = [torch.nn.functional.one_hot(x, 4).permute(0, 3, 1, 2) for x in (prediction, truth)]
    oracle = compute_dice(*one_hot, include_background=False).mean(1)
    torch.testing.assert_close(dice(count_pixels(prediction, truth, 4)).float(), oracle.float(), rtol=0, atol=1e-6)


def test_every_pixel_is_counted_once_a_label():
    generator = torch.Generator().manual_seed(0)
    prediction, truth = torch.randint(3, (2, 5, 4, 6), generator=generator)
    counts = count_pixels(prediction, truth, 3)
    assert (counts.tp + counts.fp + counts.fn + counts.tn == 24).all()
    assert (counts.tp[:, 1] == ((prediction == 1) & (truth == 1)).sum((1, 2))).all()
    assert (counts.fp[:, 2] == ((prediction == 2) & (truth != 2)).sum((1, 2))).all()


@pytest.mark.parametrize("labels", [2, 3])
def test_all_values_are_finite_where_nothing_is_to_be_found(labels):
    for prediction, truth in ((EMPTY, EMPTY), (A, EMPTY), (EMPTY, A)):
        values = summarise(_counts([prediction], [truth], labels)).metrics.values()
        assert all(math.isfinite(value) for value in values)


def test_labels_come_from_the_sign_or_the_largest_logit():
    assert predicted_labels(torch.tensor([[[[-1.0, 0.0, 0.1]]]]), 1).tolist() == [[[0, 0, 1]]]
    logits = torch.tensor([[[[3.0, 0.0]], [[1.0, 1.0]], [[2.0, 5.0]]]])
    assert predicted_labels(logits, 3).tolist() == [[[0, 2]]]
    assert (label_count(1), label_count(2), label_count(3)) == (2, 2, 3)


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match="truth holds labels 0 to 255; with 2 labels give 0 to 1"):
        _counts([A], [[[0, 255], [0, 0]]])


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="have shapes"):
        count_pixels(torch.zeros(1, 2, 2), torch.zeros(1, 2, 3), 2)
    with pytest.raises(ValueError, match="give \\(N, 3, H, W\\)"):
        predicted_labels(torch.zeros(1, 1, 2, 2), 3)


def test_an_empty_split_is_refused():
    with pytest.raises(ValueError, match="no images"):
        Counts.concatenate([])


def test_dice_of_a_patient_is_that_of_all_its_pixels_taken_as_one_image():
    # patient a: A against B (tp 1, fp 1, fn 1), and A against A (tp 2); patient b: nothing found of A (fn 2)
    measured = summarise(_counts([A, EMPTY, A], [B, A, A]), ["a", "b", "a"])
    assert measured.per_group == {"a": pytest.approx(2 * 3 / (2 * 3 + 1 + 1)), "b": 0.0}
    assert measured.metrics["dice_patient"] == pytest.approx(0.375)
    assert measured.metrics["dice"] == pytest.approx(0.5)


def test_dice_of_a_patient_is_the_mean_over_the_classes_that_it_has():
    # label 1 is right in the first image; in the second one label 2 is taken for it
    predictions, truths = [[[1, 0], [0, 0]], [[1, 1], [0, 0]]], [[[1, 0], [0, 0]], [[2, 2], [0, 0]]]
    measured = summarise(_counts(predictions, truths, labels=3), ["a", "a"])
    assert measured.per_group == {"a": pytest.approx((2 * 1 / (2 * 1 + 2) + 0) / 2)}
    assert [each.metrics["dice_patient"] for each in measured.classes] == [pytest.approx(0.5), 0.0]


def test_a_patient_without_lesion_and_finding_counts_1_as_an_image_does():
    assert summarise(_counts([EMPTY, EMPTY], [EMPTY, EMPTY]), ["a", "a"]).per_group == {"a": 1.0}


def test_patients_of_one_image_each_have_the_dice_of_the_images():
    generator = torch.Generator().manual_seed(0)
    pixels = [torch.randint(0, 3, (6, 8, 8), generator=generator) for _ in range(2)]
    measured = summarise(count_pixels(*pixels, 3), list("fbadce"))
    assert list(measured.per_group) == list("abcdef")
    assert [measured.per_group[name] for name in "fbadce"] == measured.per_image["dice"]


def test_without_patients_there_is_no_dice_of_them():
    measured = summarise(_counts([A], [B]))
    assert "dice_patient" not in measured.metrics
    assert measured.per_group == {}


def test_every_image_needs_a_patient():
    with pytest.raises(ValueError, match="1 groups are named for 2 images"):
        summarise(_counts([A, A], [B, B]), ["a"])
