"""The answer in two sentences, and the four numbers."""

import dataclasses

from analysis.comparison import Comparison
from analysis.examples import paired_images
from analysis.sentences.questions import missed
from analysis.sentences.spoken import UNKNOWN, side_by_side, spoken
from tests.comparisons import means


def test_the_recommended_network_is_told_in_two_sentences(results):
    first, second = spoken(Comparison(results))
    assert first == (
        "The network can be made 4 times smaller: budget_0.25 has Dice 0.773 on the test images beside 0.777 of the "
        "baseline."
    )
    assert second == (
        "It finds nothing on 0 of 12 images with a lesion, as the baseline, it takes the same time, and on these "
        "images its 95 % interval rules out a loss of more than 0.01."
    )


def test_a_network_that_is_faster_and_misses_more_says_so(baseline, result):
    quick = result("svd", 8, 0.776, 400_000, 5.0)
    quick = dataclasses.replace(quick, per_image={**quick.per_image, "dice": [0.0, *quick.per_image["dice"][1:]]})
    second = spoken(Comparison([baseline, quick]))[1]
    assert second.startswith("It finds nothing on 1 of 12 images with a lesion, the baseline on 0, it is 2.5 times as ")


def test_where_none_is_close_the_best_is_told_with_its_loss(baseline, result):
    first, second = spoken(Comparison([baseline, result("svd", 4, 0.7, 1000)]))
    assert first.startswith("No smaller network stays within 0.01 of the baseline's Dice on the validation images")
    assert "svd_rank_4, has Dice 0.700" in first
    assert second.endswith("and it loses 0.077, more than the 0.01 that is tolerated.")


def test_without_anything_to_choose_the_answer_is_one_sentence(baseline, result):
    assert spoken(Comparison([baseline])) == ["Only the baseline was evaluated: Dice 0.777 with 838,497 parameters."]
    blind = dataclasses.replace(baseline, metrics=means(0.0), valid=means(0.0))
    assert spoken(Comparison([blind, result("svd", 4, 0.0, 1000)]))[0].startswith("The baseline finds nothing")


def test_four_numbers_stand_side_by_side(results):
    numbers = {each.title: (each.baseline, each.other, each.change) for each in side_by_side(Comparison(results))}
    assert numbers == {
        "Dice": ("0.777", "0.773", "0.004 less"),
        "Size": ("3.35 MB", "0.836 MB", "4 times smaller"),
        "Speed": ("12.5 ms", "12.5 ms", "as fast"),
        "Images lost": ("0 of 12", "0 of 12", "as many"),
    }


def test_missed_lesions_are_counted_as_in_the_questions_and_not_where_lesions_are_not_known(baseline, result):
    areas = [9.0, *baseline.per_image["lesion_px"][1:-1], 0.0]
    blind = result("svd", 8, 0.776, 400_000)
    dice = [0.0, 0.0, *blind.per_image["dice"][2:-1], 0.0]
    blind = dataclasses.replace(blind, per_image=blind.per_image | {"dice": dice, "lesion_px": areas})
    full = dataclasses.replace(baseline, per_image=baseline.per_image | {"lesion_px": areas})
    comparison = Comparison([full, blind])
    assert side_by_side(comparison)[-1].other == "2 of 11"
    assert "2 are missed" in missed(paired_images(comparison, blind))
    unknown = [dataclasses.replace(each, per_image={"dice": each.per_image["dice"]}) for each in (full, blind)]
    assert side_by_side(Comparison(unknown))[-1].other == UNKNOWN


def test_the_baseline_alone_has_its_numbers_and_no_other(baseline):
    assert {(each.baseline != "", each.other) for each in side_by_side(Comparison([baseline]))} == {(True, "")}
