"""The questions that readers have, and their answers."""

import dataclasses

from analysis.comparison import Comparison
from analysis.sentences.questions import questions


def answers(results):
    return {each.place: each.answer for each in questions(Comparison(results))}


def of_sizes(result, shift=0.0):
    """The variant on images whose lesions are of three sizes; on the smallest its Dice is lower."""
    rows = 36
    dice = [0.8 - (shift + 0.001 * (row % 7) if row < 12 else 0) for row in range(rows)]
    areas = [float(10 + row) for row in range(rows)]
    per_image = {"dice": dice, "iou": dice, "lesion_px": areas}
    return dataclasses.replace(result, per_image=per_image, metrics=result.metrics | {"dice_lesion": sum(dice) / rows})


def test_each_question_has_its_answer(results):
    asked = questions(Comparison(results))
    assert [each.place for each in asked] == ["table", "equal-size", "images", "table", "training"]
    text = {each.text: each.answer for each in asked}
    smallest = text["Which is the smallest network within 0.01 of the baseline?"]
    assert smallest.startswith("budget_0.25, with 24.9 % of the bytes, chosen on the validation images.")
    assert text["What does budget_0.25 miss?"].startswith("Of 12 images with a lesion ")
    assert text["How much faster is it?"].startswith("It is not: the time of one image is about the same, 1.00 times")
    assert "each network was trained once" in text["What would another training give?"]


def test_small_lesions_are_judged_on_the_images_that_have_them(baseline, result):
    full, small = of_sizes(baseline), of_sizes(result("svd", 8, 0.776, 400_000), shift=0.05)
    told = answers([full, small])["sizes"]
    assert told.startswith("On the 12 images with the smallest lesions (10 to 21 pixels), svd_rank_8 has Dice 0.747")
    assert told.endswith("more than chance.")
    same = answers([full, of_sizes(result("svd", 8, 0.776, 400_000))])["sizes"]
    assert "a difference of" in same and not same.endswith(" more than chance.")


def test_nothing_is_asked_where_there_is_nothing_to_compare(baseline):
    assert questions(Comparison([baseline])) == []
    assert questions(Comparison([])) == []
