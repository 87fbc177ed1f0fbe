"""Which images and networks are shown."""

import dataclasses

import pytest

from analysis.comparison import Comparison
from analysis.examples import MAX_VARIANTS, ImagePair, failures, in_question, telling_images, telling_variants
from models.evaluation.results import EvaluationResult
from tests.comparisons import make_result

FULL = [0.9, 0.1, 0.5, 0.95, 0.6, 1.0]
AREAS = [9.0, 9.0, 9.0, 9.0, 9.0, 0.0]


def measured(method: str, value: float | None, dice: list[float], params: int) -> EvaluationResult:
    made = make_result(method, value, sum(dice) / len(dice), params)
    return dataclasses.replace(made, per_image={"dice": dice, "lesion_px": AREAS})


@pytest.fixture
def comparison() -> Comparison:
    close = [0.9, 0.1, 0.45, 0.95, 0.6, 1.0]
    far = [0.0, 0.2, 0.5, 0.9, 0.6, 0.0]
    results = [("baseline", None, FULL, 1000), ("svd", 8, close, 500), ("svd", 4, far, 100)]
    return Comparison([measured(*each) for each in results])


def test_the_baselines_best_typical_and_worst_lesions_come_first(comparison: Comparison) -> None:
    chosen = telling_images(comparison)
    assert list(chosen.items())[:3] == [(3, "best"), (4, "typical"), (1, "worst")], "image 5 has no lesion"


def test_the_images_that_the_recommended_network_loses_most_follow(comparison: Comparison) -> None:
    assert in_question(comparison).name == "svd_rank_8"
    assert list(telling_images(comparison).items())[3:] == [(2, "lost most")]


def test_an_image_without_lesion_on_which_most_is_lost_shows_a_false_alarm() -> None:
    alarm = [0.9, 0.1, 0.45, 0.95, 0.6, 0.0]
    shown = telling_images(Comparison([measured("baseline", None, FULL, 1000), measured("svd", 8, alarm, 500)]))
    assert list(shown.items())[3:] == [(5, "false alarm"), (2, "lost most")]


def test_failures_are_ordered_by_what_is_lost(comparison: Comparison) -> None:
    found = failures(comparison, comparison.results[1])
    assert comparison.results[1].name == "svd_rank_4"
    assert [(each.row, each.lesion_px, each.baseline_dice, each.dice) for each in found] == [
        (5, 0.0, 1.0, 0.0),
        (0, 9.0, 0.9, 0.0),
        (3, 9.0, 0.95, 0.9),
    ]
    assert failures(comparison, comparison.baseline) == []


def test_one_image_is_chosen_once() -> None:
    single = dataclasses.replace(make_result("baseline", None, 0.5, 10), per_image={"dice": [0.5], "lesion_px": [3.0]})
    assert telling_images(Comparison([single])) == {0: "best"}


def test_without_values_of_images_nothing_is_chosen(baseline: EvaluationResult) -> None:
    assert telling_images(Comparison([dataclasses.replace(baseline, per_image={})])) == {}
    assert telling_images(Comparison([])) == {}


def test_the_baseline_and_the_recommended_network_are_always_shown() -> None:
    results = [measured("svd", rank, FULL, 10 * rank) for rank in range(1, 30)]
    comparison = Comparison([measured("baseline", None, FULL, 1000), *results])
    names = telling_variants(comparison)
    assert names[:2] == ["baseline", "svd_rank_1"]
    assert len(names) == len(set(names)) == MAX_VARIANTS


def test_networks_on_the_front_are_shown_before_others() -> None:
    beaten = [make_result("svd", rank, 0.6, 500 + rank) for rank in range(2, 2 + MAX_VARIANTS)]
    front = [
        make_result("baseline", None, 0.9, 1000),
        make_result("svd", 1, 0.8, 10),
        make_result("svd", 64, 0.85, 600),
    ]
    names = telling_variants(Comparison([*front, *beaten]))
    assert names[:4] == ["baseline", "svd_rank_1", "svd_rank_64", "svd_rank_2"]


def test_of_two_equally_good_networks_the_smaller_is_in_question() -> None:
    results = [make_result("svd", rank, dice, 10 * rank) for rank, dice in ((4, 0.7), (8, 0.8), (16, 0.8))]
    chosen = in_question(Comparison(results))
    assert chosen is not None and chosen.name == "svd_rank_8"


@pytest.mark.parametrize(
    ("lesion", "dice", "fails"),
    [
        (9.0, 0.0, True),  # missed
        (9.0, 0.1, False),
        (0.0, 1.0, False),  # nothing to find, nothing found
        (0.0, 0.0, True),  # a false alarm
        (0.0, 0.5, True),  # of one of two classes
        (float("nan"), 0.0, True),  # areas are not known: taken as a lesion
    ],
)
def test_a_lesion_is_missed_or_an_alarm_false(lesion: float, dice: float, fails: bool) -> None:
    pair = ImagePair(0, lesion, 1 - dice, dice)
    assert pair.fails == fails
    assert ImagePair(0, lesion, dice, 0.3).baseline_fails == fails
