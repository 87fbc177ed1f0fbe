"""What is said of a baseline that is useless or was trained elsewhere, and of recovery that did not help."""

import dataclasses

import pytest

from analysis.comparison import Comparison
from analysis.conclusions import answer, describe, methods_answer
from analysis.table_rows import variant_rows
from models.evaluation.results import EvaluationResult
from models.variant_spec import VariantSpec
from tests.comparisons import images, means


def at_budget(result, method: str, dice: float, params: int):
    made = result(method, 1, dice, params)
    return dataclasses.replace(made, spec=VariantSpec(method, budget=0.25, scheme="channel"))


@pytest.mark.parametrize(("dice", "found"), [(0.02, r"almost nothing (Dice 0.020)"), (0.0, "nothing")])
def test_of_a_useless_baseline_nothing_else_is_said(result, dice, found):
    full = result("baseline", None, dice, 9000)
    variants = [at_budget(result, "svd", dice / 2, 2000), at_budget(result, "arsvd", dice, 2000)]
    comparison = Comparison([full, *variants])
    assert answer(comparison) == (
        f"The baseline finds {found}: train it longer before comparing what compression keeps of it."
    )
    assert methods_answer(comparison) == ""
    assert comparison.recommended is comparison.chosen_by_valid is None
    assert not any(row.chosen for row in variant_rows(comparison))
    assert describe(comparison, comparison.compressed[0]).endswith("with 2,000 parameters.")


def test_a_baseline_that_is_useless_on_valid_alone_is_useless(result):
    full = dataclasses.replace(result("baseline", None, 0.7, 9000), valid=means(0.01))
    assert answer(Comparison([full, result("svd", 8, 0.7, 900)])).startswith(
        "The baseline finds almost nothing (Dice 0."
    )


@pytest.mark.parametrize("dice", [0.0, 0.02, 0.2])
def test_a_baseline_from_a_checkpoint_is_not_told_to_train_longer(result, dice):
    results = [result("baseline", None, dice, 9000), result("svd", 8, dice, 900)]
    assert "train it longer" in answer(Comparison(results))
    said = answer(Comparison(results, imported=True))
    assert "train it" not in said
    assert "check that it gets images as it was trained on (--image_size, " in said


def test_a_network_that_has_two_names_is_marked_by_both(result):
    full, first = result("baseline", None, 0.77, 9000), result("svd", 8, 0.77, 900)
    again = dataclasses.replace(first, spec=VariantSpec("svd", rank=16, scheme="channel"))
    marked = {row.name: row.on_front for row in variant_rows(Comparison([full, first, again]))}
    assert marked == {"baseline": False, "svd_rank_8": True, "svd_rank_16": True}


@pytest.mark.parametrize("surely", [True, False])
def test_equal_values_are_marked_both_or_neither(result, surely):
    """Of two networks with one Dice, one alone may be better than a smaller one by more than chance."""
    small = dataclasses.replace(result("svd", 4, 0.7, 500), per_image=images([0.7] * 12))
    even = dataclasses.replace(result("svd", 8, 0.71, 900), per_image=images([0.71] * 12))
    uneven = dataclasses.replace(result("arsvd", 0.9, 0.71, 900), per_image=images([0.42, 1.0] * 6))
    second = even if surely else uneven
    twin = dataclasses.replace(second, spec=VariantSpec("arsvd", tau=0.5, scheme="channel"), layers=[])
    rows = variant_rows(Comparison([result("baseline", None, 0.7, 9000), small, even, twin]))
    marked = {row.name: row.on_front for row in rows}
    assert marked["svd_rank_8"] == marked["arsvd_tau_0.5"] == surely


def test_that_recalibration_lowered_dice_is_said(baseline, result):
    made = [result("svd", rank, dice, 1000 * rank) for rank, dice in ((8, 0.77), (16, 0.775), (32, 0.776))]
    befores = (0.772, 0.7754, 0.70)  # lowered, by less than is told, raised
    recalibrated = [
        dataclasses.replace(
            each,
            spec=dataclasses.replace(each.spec, recalibrated=64),
            metrics=each.metrics | {"dice_lesion_before_recovery": before},
        )
        for each, before in zip(made, befores, strict=True)
    ]
    said = (
        "Recalibration lowered the Dice of 1 of 3 variants by 0.001 or more; compare with a run without --recalibrate."
    )
    assert answer(Comparison([baseline, *recalibrated])).endswith(said)
    assert "lowered" not in answer(Comparison([baseline, *recalibrated[1:]]))
    tuned = dataclasses.replace(recalibrated[0], spec=dataclasses.replace(recalibrated[0].spec, finetune_epochs=2))
    assert "lowered" not in answer(Comparison([baseline, tuned])), "what did it is not known"


def test_that_fine_tuning_made_no_network_better_is_said(baseline, result):
    made = [result("svd", rank, dice, 1000 * rank) for rank, dice in ((8, 0.77), (16, 0.775))]
    tuned = [
        dataclasses.replace(each, finetune_history={"epochs": [], "best_epoch": epoch})
        for each, epoch in zip(made, (0, 2), strict=True)
    ]
    assert answer(Comparison([baseline, *tuned])).endswith(
        "Fine-tuning made 1 of 2 networks no better on valid, so they were left as they were; "
        "try another --finetune_lr."
    )
    assert "no better" not in answer(Comparison([baseline, tuned[1]]))


def with_empty_images(result: EvaluationResult, alarms: float) -> EvaluationResult:
    """The same with as many images without a lesion as with one, and this share of them marked falsely."""
    shift = {"dice": (result.metrics["dice_lesion"] + 1 - alarms) / 2, "false_alarm_images": alarms}
    return dataclasses.replace(result, metrics=result.metrics | shift)


def test_it_is_said_where_dice_over_all_images_falls_by_false_alarms(result):
    full, small = result("baseline", None, 0.77, 9000), result("svd", 8, 0.769, 900)
    said = answer(Comparison([with_empty_images(full, 0.25), with_empty_images(small, 0.5)]))
    assert (
        "Over all images its Dice falls by 0.125, by false alarms: it marks something in 50 % of the test images "
        "without a lesion, the baseline in 25 %."
    ) in said


@pytest.mark.parametrize(("before", "after"), [(0.25, 0.25), (0.5, 0.25), (0.25, 0.26)])
def test_no_more_false_alarms_than_matter_are_not_spoken_of(result, before, after):
    full, small = result("baseline", None, 0.77, 9000), result("svd", 8, 0.769, 900)
    said = answer(Comparison([with_empty_images(full, before), with_empty_images(small, after)]))
    assert "svd_rank_8 keeps" in said
    assert "Over all images" not in said
    assert "Over all images" not in answer(Comparison([full, small])), "no image is without a lesion"
