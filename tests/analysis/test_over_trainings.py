"""Means over trainings: their intervals against a formula by hand and in a simulation, and what is said of them."""

import dataclasses
import math

import numpy as np
import pytest

from analysis.comparison import Comparison
from analysis.conclusions import methods_answer, trainings_answer
from analysis.intervals import CHANGE, SHARE, mean_interval
from analysis.over_trainings import over_trainings, training_interval
from models.evaluation.results import EvaluationResult
from models.variant_spec import Method, VariantSpec
from tests.comparisons import make_result, of_patients, of_training

BY_SEED = {None: 0.80, 2: 0.78, 3: 0.82}


def seeds(gap: float = 0.02) -> list[EvaluationResult]:
    """Three trainings, each with its dense network and two of a budget, of which one loses a gap."""
    found = []
    for seed, dice in BY_SEED.items():
        made = [
            make_result("baseline", None, dice, 838_497),
            make_result("budget", 0.25, dice - 0.005, 209_000),
            at_budget("svd", dice - 0.005 - gap),
        ]
        found += [of_training(each, seed=seed) for each in made]
    return found


def one_lucky() -> list[EvaluationResult]:
    """Trainings in which SVD fails once, and is as good as the other method otherwise."""
    return [
        of_training(at_budget("svd", 0.6), seed=None) if each.name == "svd_budget_0.25" else each
        for each in seeds(gap=0.0)
    ]


def at_budget(method: Method, dice: float) -> EvaluationResult:
    """A network that meets a budget of 25 % by one rank for all layers."""
    spec = VariantSpec(method, budget=0.25, rank=4, scheme="channel")
    return dataclasses.replace(make_result("budget", 0.25, dice, 209_500), spec=spec)


def test_what_is_no_patient_is_not_called_one_over_trainings_either() -> None:
    line = over_trainings(of_patients(seeds(), 12, "volume"))[1]
    assert line.mean is not None
    assert line.change is not None
    assert line.mean.over == line.change.over == "3 trainings and 12 volumes"


def test_the_interval_is_the_formula_by_hand() -> None:
    """Two trainings of ten images: means .55 and .65, images' means .15 to 1.05 in steps of .1."""
    first = [0.1 * image + 0.1 for image in range(10)]
    second = [value + 0.1 for value in first]
    over_runs = 12.7062 * math.sqrt(0.005) / math.sqrt(2)  # t of 1 degree of freedom, from a table
    over_images = 2.26216 * 0.302765 / math.sqrt(10)  # t of 9; the standard deviation of 1 to 10 is 3.02765
    half = math.hypot(over_runs, over_images)
    found = training_interval([first, second])
    assert found.mean == pytest.approx(0.6)
    assert (found.low, found.high) == pytest.approx((0.6 - half, 0.6 + half), abs=1e-4)
    assert (found.trainings, found.images, found.patients, found.over) == (2, 10, None, "2 trainings and 10 images")


def test_without_spread_between_trainings_it_is_about_that_over_images() -> None:
    values = np.random.default_rng(0).uniform(size=200).tolist()
    found, plain = training_interval([values] * 3), mean_interval(values)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.003)


def test_patients_are_taken_whole() -> None:
    """Ten images of each patient say no more than one of each does."""
    rng = np.random.default_rng(1)
    of_patient = 0.7 + 0.1 * rng.normal(size=20) + 0.01 * rng.normal(size=(3, 1))
    once = training_interval(of_patient.tolist(), [str(row) for row in range(20)])
    often = training_interval(of_patient.repeat(10, axis=1).tolist(), [str(row // 10) for row in range(200)])
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert often.over == "3 trainings and 20 patients"
    apart = training_interval(of_patient.repeat(10, axis=1).tolist())
    assert apart.high - apart.low < 0.8 * (once.high - once.low)


def covered(trainings: int, images: int, spread: float, draws: int = 500) -> tuple[float, float]:
    """Shares of draws in which the interval over trainings holds the truth, and in which that of one training does.

    Truth is the mean over all trainings and images: trainings differ by `spread`, images by .2, and a training on an
    image by another .08.
    """
    rng, held = np.random.default_rng(trainings), np.zeros(2)
    for _ in range(draws):
        dice = 0.6 + spread * rng.normal(size=(trainings, 1)) + 0.2 * rng.normal(size=images)
        dice = dice + 0.08 * rng.normal(size=(trainings, images))
        both = (training_interval(dice.tolist()), mean_interval(dice[0].tolist()))
        held += [each.low <= 0.6 <= each.high for each in both]
    over_trainings_, of_one = held / draws
    return float(over_trainings_), float(of_one)


@pytest.mark.parametrize("trainings", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.08])
def test_the_interval_covers_the_truth_whatever_the_spread_between_trainings(
    trainings: int, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of one training does not where trainings differ: it knows of images alone."""
    monkeypatch.setattr("analysis.intervals._RESAMPLES", 199)
    ours, of_one = covered(trainings, 60, spread)
    assert 0.93 <= ours <= 0.998
    if spread == 0.08:
        assert of_one < 0.7


def test_ends_lie_where_means_can_and_few_images_have_none() -> None:
    high = training_interval([[0.99] * 11 + [0.5], [0.9] * 12], limits=SHARE)
    assert high.high == 1
    few = training_interval([[0.5] * 9, [0.6] * 9], limits=CHANGE)
    assert few.too_few
    assert math.isnan(few.low)
    assert not few.excludes_zero


@pytest.mark.parametrize("values", [[[0.5] * 12], [[0.5, 0.5], [0.5, math.nan]], [[], []]])
def test_what_has_no_spread_over_trainings_is_refused(values: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="two trainings or more"):
        training_interval(values)
    with pytest.raises(ValueError, match="2 images are of 3 patients"):
        training_interval([[0.1, 0.2], [0.1, 0.2]], ["a", "b", "c"])


def test_every_setting_has_mean_and_deviation_over_its_trainings() -> None:
    baseline, svd, budget = sorted(
        over_trainings(seeds()), key=lambda line: ["baseline", "svd", "budget"].index(line.variants[0].method)
    )
    assert [line.name for line in (baseline, svd, budget)] == ["baseline", "svd_budget_0.25", "budget_0.25"]
    assert [each.name for each in budget.variants] == ["budget_0.25", "seed_2_budget_0.25", "seed_3_budget_0.25"]
    assert (budget.dice, budget.sd) == pytest.approx((0.795, 0.02))
    assert baseline.change is None
    assert budget.change is not None
    assert budget.change.mean == pytest.approx(-0.005)
    assert budget.change_sd == pytest.approx(0, abs=1e-9)
    written = budget.to_dict()
    assert (written["trainings"], written["method"], written["filters"]) == (3, "budget", None)
    assert written["dice_lesion"]["mean"] == pytest.approx(0.795)
    assert written["dice_lesion"]["interval"][0] < 0.795 < written["dice_lesion"]["interval"][1]


def test_a_narrower_width_is_compared_with_the_main_width_of_its_seed() -> None:
    narrow = [
        of_training(make_result("baseline", None, dice - 0.05, 200_000), 8, seed) for seed, dice in BY_SEED.items()
    ]
    (line,) = [line for line in over_trainings([*seeds(), *narrow]) if line.name == "filters_8"]
    assert line.change is not None
    assert (line.change.mean, line.change_sd) == pytest.approx((-0.05, 0))


def test_one_seed_has_no_spread() -> None:
    results = [make_result("baseline", None, 0.8, 838_497), make_result("budget", 0.25, 0.79, 209_000)]
    assert over_trainings(results) == []
    assert trainings_answer(Comparison(results)) == ""


def test_images_without_a_lesion_leave_the_judged_dice_unknown() -> None:
    """As with one training: strict JSON then has null."""
    blind = [dataclasses.replace(each, metrics={}, per_image={}) for each in seeds()]
    for line in over_trainings(blind):
        assert math.isnan(line.dice)
        assert math.isnan(line.sd)
        assert (line.mean, line.change) == (None, None)


def test_methods_are_compared_over_all_trainings_in_words() -> None:
    comparison = Comparison(seeds())
    (line,) = comparison.equal_sizes
    gain = line.dice_gains["budget", "svd"]
    assert (gain.trainings, gain.mean) == (3, pytest.approx(0.02))
    assert line.dice_of("budget") == pytest.approx(0.795)
    said = methods_answer(comparison)
    assert said.startswith("At equal size and over 3 trainings, budget is better than SVD at 25 % of the parameters.")


def test_a_gain_of_one_lucky_training_is_no_difference_of_methods() -> None:
    lucky = one_lucky()
    assert "no difference of budget and SVD is found" in methods_answer(Comparison(lucky))
    alone = Comparison([each for each in lucky if each.spec.seed is None])
    assert "budget is better than SVD" in methods_answer(alone)


def test_two_trainings_are_not_said_to_show_no_difference() -> None:
    two = Comparison([each for each in one_lucky() if each.spec.seed != 3])
    assert "two trainings cannot tell budget and SVD apart at 25 % of the parameters" in methods_answer(two)
    assert "no difference" not in methods_answer(two)
    uneven = [
        make_result("budget", 0.25, 0.79, 209_000),
        of_training(make_result("budget", 0.25, 0.76, 209_000), seed=2),
    ]
    said = trainings_answer(
        Comparison([*(each for each in seeds() if each.spec.is_dense and each.spec.seed != 3), *uneven])
    )
    assert said.endswith(
        "cannot be told from chance by two trainings, whose intervals are wide: give --seeds three or more."
    )


def test_networks_of_different_sizes_are_told_where_their_dice_is_a_mean() -> None:
    found = [each for each in seeds() if each.spec.is_dense]
    for seed, params in ((None, 52_481), (2, 68_000), (3, 60_000)):
        small = make_result("budget", 0.25, 0.79, params)
        spec = VariantSpec("budget", max_dice_loss=0.01, seed=seed, scheme="auto")
        found.append(dataclasses.replace(small, spec=spec))
    comparison = Comparison(found)
    line = next(each for each in comparison.over_trainings if each.name == "smallest")
    assert line.sizes == line.to_dict()["sizes"] == (52_481, 68_000)
    assert all(each.sizes is None for each in comparison.over_trainings if each is not line)
    assert "smallest of 52,481 to 68,000 parameters has Dice 0.790" in trainings_answer(comparison)


def test_the_sentence_speaks_of_the_method_over_its_trainings() -> None:
    said = trainings_answer(Comparison(seeds()))
    assert said.startswith(
        "Over 3 trainings, budget_0.25 has Dice 0.795 (standard deviation 0.020; 95 % interval over "
    )
    assert "trainings and images" in said
    assert "Its difference to the baseline of the same seed, -0.005" in said
    over_patients = trainings_answer(Comparison(of_patients(seeds(), 3)))
    assert over_patients.endswith("is from 3 trainings and 3 patients, too few to judge.")


def test_other_seeds_are_no_chance_more_to_be_chosen() -> None:
    lucky = of_training(make_result("svd", 4, 0.85, 50_000), seed=2)
    comparison = Comparison([*seeds(), lucky])
    assert comparison.recommended is not None
    assert comparison.recommended.name == "budget_0.25"
    assert not [name for name in comparison.front if "seed" in name]
