import dataclasses
import math
import re

import pytest

from analysis.comparison import Comparison
from analysis.conclusions import answer, methods_answer
from analysis.ranking import in_order, recommended, same_networks
from analysis.table_rows import variant_rows
from tests.comparisons import images, means, of_patients


def test_variants_are_ordered_by_method_and_setting(results):
    assert [result.name for result in in_order(results)] == [
        "baseline",
        "svd_rank_16",
        "svd_rank_32",
        "svd_rank_64",
        "arsvd_tau_0.85",
        "arsvd_tau_0.9",
        "arsvd_tau_0.95",
        "budget_0.5",
        "budget_0.25",
    ]


def test_rows_hold_reductions_and_none_where_nothing_is_known(results):
    rows = {row.name: row for row in variant_rows(Comparison(results))}
    assert rows["svd_rank_32"].reduction_pct == pytest.approx(57.52, abs=0.01)
    assert rows["svd_rank_16"].latency is None
    assert {name for name, row in rows.items() if row.on_front} == {
        "baseline",
        "svd_rank_16",
        "budget_0.25",
        "budget_0.5",
    }


def test_a_metric_that_is_missing_or_not_finite_is_none(baseline):
    for metrics in ({}, {"dice_lesion": math.nan}, {"dice_lesion": None}):
        (row,) = variant_rows(Comparison([dataclasses.replace(baseline, metrics=metrics)]))
        assert row.metrics["dice_lesion"] is None
        assert not row.on_front


def test_reduction_is_unknown_without_baseline(result):
    assert variant_rows(Comparison([result("svd", 16, 0.7, 100)]))[0].reduction_pct is None


def test_answer_names_the_smallest_network_close_to_the_baseline(results):
    assert recommended(results).name == "budget_0.25"
    text = answer(Comparison(results))
    assert text.startswith(
        "budget_0.25 keeps 99.5 % of the Dice with 24.9 % of the parameters. It was chosen on valid, as "
    )
    assert re.search(
        r"-0.004 \(95 % interval -0.00\d to -0.00\d\), is more than chance; a loss of more than 0.01 is excluded\.$",
        text,
    )


@pytest.mark.parametrize(("larger", "name"), [(1009, "svd_rank_2"), (1011, "svd_rank_1")])
def test_of_networks_of_the_same_size_the_better_is_recommended(baseline, result, larger, name):
    """Sizes within 1 % are the same: networks of one budget differ by a few parameters."""
    full = baseline.metrics["dice"]
    smaller, better = result("svd", 1, full - 0.005, 1000), result("svd", 2, full, larger)
    assert recommended([baseline, smaller, better]).name == name


def test_a_smaller_network_that_is_safe_is_named_beside_the_recommended_one(baseline, result):
    """Of one size, the one of the higher mean is taken, but its interval may be wide."""
    full, values = baseline.metrics["dice"], baseline.per_image["dice"]
    steady = [dice - 0.003 for dice in values]
    unsteady = [dice + 0.2 * (-1) ** number for number, dice in enumerate(values)]
    safe = dataclasses.replace(result("svd", 1, full - 0.003, 1000), per_image=images(steady))
    taken = dataclasses.replace(result("svd", 2, full, 1009), per_image=images(unsteady))
    comparison = Comparison([baseline, safe, taken])
    assert comparison.recommended.name == "svd_rank_2"
    assert "On test, such a loss is excluded for svd_rank_1" in answer(comparison)


def test_answer_says_what_cannot_be_excluded(baseline, result):
    shifts = [0.1, -0.1] * 6
    full = baseline.per_image["dice"]
    other = dataclasses.replace(
        result("svd", 16, 0.7768, 1000), per_image=images([a + b for a, b in zip(full, shifts, strict=True)])
    )
    text = answer(Comparison([baseline, other]))
    assert text.endswith("may be chance, but a loss of more than 0.01 is not excluded.")
    safe = answer(Comparison([baseline, other, result("svd", 32, 0.7768, 100_000)]))
    assert safe.endswith("On test, such a loss is excluded for svd_rank_32, with 11.9 % of the parameters.")


def test_answer_trusts_no_few_images(baseline, result):
    few = [dataclasses.replace(each, per_image=images([0.7, 0.8])) for each in (baseline, result("svd", 16, 0.77, 9))]
    assert answer(Comparison(few)).endswith("is from 2 images, too few to judge.")


def test_answer_praises_no_useless_network(baseline, result):
    assert "none keeps even half of it, or of the lesions that it finds" in answer(
        Comparison([baseline, result("svd", 2, 0.2, 1000)])
    )


def test_answer_says_so_if_no_smaller_network_is_close(baseline, result):
    text = answer(Comparison([baseline, result("svd", 16, 0.5, 1000), result("arsvd", 0.9, 0.7, 10_000)]))
    assert text.startswith(
        "No smaller network stays within 0.01 of the baseline's Dice on the validation images (0.777)"
    )
    assert "The best of them on the test images is arsvd_tau_0.9, which keeps 90.1 %" in text


def test_answer_never_recommends_a_network_that_is_not_smaller(baseline, result):
    larger = result("arsvd", 1.0, 0.7768, 900_000)
    assert answer(Comparison([baseline, larger])).endswith("none of the variants is smaller than the baseline.")
    text = answer(Comparison([baseline, larger, result("svd", 16, 0.7, 1000)]))
    assert "The best of them on the test images is svd_rank_16" in text


@pytest.mark.parametrize(
    ("dice", "others", "expected"),
    [
        (0.7768, 0, "Only the baseline"),
        (0.0, 1, "finds nothing"),
        (math.nan, 1, "No image of valid and test has a lesion"),
    ],
)
def test_answer_without_a_comparison_says_why(result, dice, others, expected):
    results = [result("baseline", None, dice, 1000), *[result("svd", 8, 0.1, 500)] * others]
    assert expected in answer(Comparison(results))


def test_a_baseline_that_has_learned_little_is_said_first(baseline, result):
    little = [result("baseline", None, 0.05, 9000), result("svd", 16, 0.05, 1000)]
    assert answer(Comparison(little)).startswith("The baseline has Dice 0.050 alone: train it longer")
    assert "train it longer" not in answer(Comparison([baseline, result("svd", 16, 0.77, 1000)]))


def test_that_the_baseline_was_not_recalibrated_is_said(baseline, result):
    plain = result("svd", 32, 0.79, 100_000)
    recalibrated = dataclasses.replace(plain, spec=dataclasses.replace(plain.spec, recalibrated=256))
    assert answer(Comparison([baseline, recalibrated])).endswith("part of the difference may be what that does.")
    assert "recalibrated" not in answer(Comparison([baseline, plain]))


def test_a_network_that_finds_nothing_is_neither_recommended_nor_marked(baseline, result):
    """Where most images have no lesion, finding nothing has a high mean Dice, and smaller networks have it for less."""
    nothing = means(0.0) | {"dice": 0.9, "iou": 0.9, "false_alarm_images": 0.0}
    weak = means(0.5) | {"dice": 0.4, "false_alarm_images": 0.9}
    full = dataclasses.replace(baseline, metrics=weak, valid=weak)
    blind = dataclasses.replace(result("svd", 2, 0.0, 1000), metrics=nothing, valid=nothing)
    comparison = Comparison([full, blind])
    assert comparison.recommended is None
    assert comparison.front == {"baseline"}
    assert "none keeps even half of it, or of the lesions that it finds" in answer(comparison)
    worse_still = Comparison([dataclasses.replace(blind, spec=baseline.spec), blind])
    assert (worse_still.recommended, worse_still.front) == (None, frozenset())
    assert answer(worse_still).startswith("The baseline finds nothing")


def test_a_network_that_misses_half_of_the_found_lesions_is_not_marked(baseline, result):
    few = means(0.7768) | {"recall_images": 0.4}
    fewer = dataclasses.replace(result("svd", 2, 0.7768, 1000), metrics=few, valid=few)
    assert Comparison([baseline, fewer]).front == {"baseline"}
    assert Comparison([baseline, fewer]).recommended is None


def test_valid_chooses_and_test_reports(baseline, result):
    small = dataclasses.replace(result("svd", 2, 0.78, 1000), valid=means(0.7))
    medium = dataclasses.replace(result("svd", 4, 0.70, 2000), valid=means(0.775))
    comparison = Comparison([baseline, small, medium])
    assert comparison.recommended.name == "svd_rank_4"
    assert answer(comparison).startswith("svd_rank_4 keeps 90.1 % of the Dice with")
    assert "the loss is above the 0.01 that is tolerated" in answer(comparison)


def test_what_the_test_finds_useless_is_not_recommended(baseline, result):
    chosen = dataclasses.replace(result("svd", 2, 0.2, 1000), valid=means(0.7768))
    assert Comparison([baseline, chosen]).recommended is None
    assert answer(Comparison([baseline, chosen])).startswith("No network is recommended: svd_rank_2, which")


def test_the_tolerated_loss_is_the_users(baseline, result):
    smaller, found = result("svd", 2, 0.75, 1000), result("budget", 0.5, 0.76, 2000)
    assert Comparison([baseline, smaller]).recommended is None
    spec = dataclasses.replace(found.spec, max_dice_loss=0.03)
    comparison = Comparison([baseline, smaller, dataclasses.replace(found, spec=spec)])
    assert comparison.tolerated_loss == 0.03
    assert comparison.recommended.name == "svd_rank_2"
    assert "as the smallest within 0.03 of" in answer(comparison)


def test_few_validation_images_are_said(baseline, result):
    few = [
        dataclasses.replace(each, valid_per_image=images([0.7, 0.8])) for each in (baseline, result("svd", 16, 0.77, 9))
    ]
    assert "valid has 2 images with a lesion, too few to choose by" in answer(Comparison(few))


def test_no_loss_is_excluded_for_a_network_that_finds_nothing(baseline, result):
    """With a large tolerance, nothing at all is within it."""
    full = result("baseline", None, 0.4, 838_497)
    tolerant = dataclasses.replace(result("budget", 0.5, 0.35, 2000).spec, max_dice_loss=0.5)
    wide = images([0.9, 0.0] * 6)
    chosen = dataclasses.replace(result("budget", 0.5, 0.35, 2000), spec=tolerant, per_image=wide)
    blind = result("svd", 1, 0.0, 1000)
    assert "is excluded for svd_rank_1" not in answer(Comparison([full, chosen, blind]))


def test_a_baseline_that_marks_most_images_without_a_lesion_is_told(baseline, result):
    others = [result("svd", 16, 0.77, 1000)]
    for share, told in ((0.96, True), (0.5, False)):
        alarmed = dataclasses.replace(baseline, metrics=baseline.metrics | {"false_alarm_images": share})
        text = answer(Comparison([alarmed, *others]))
        assert text.startswith("The baseline marks something in 96 % of the test images without a lesion.") is told


def test_answer_says_over_how_many_patients_its_interval_is(baseline, result):
    text = answer(Comparison(of_patients([baseline, result("svd", 16, 0.775, 1000)], 11)))
    assert "(95 % interval over 11 patients -0." in text
    assert "too few" not in text


def test_answer_calls_volumes_what_they_are(baseline, result):
    text = answer(Comparison(of_patients([baseline, result("svd", 16, 0.775, 1000)], 11, "volume")))
    assert "(95 % interval over 11 volumes -0." in text
    text = answer(Comparison(of_patients([baseline, result("svd", 16, 0.775, 1000)], 1, "volume")))
    assert "valid has 1 volume with a lesion, too few to choose by" in text
    assert text.endswith("is from 1 volume, too few to judge.")


def test_answer_trusts_no_few_patients_however_many_images_they_have(baseline, result):
    text = answer(Comparison(of_patients([baseline, result("svd", 16, 0.775, 1000)], 4)))
    assert "valid has 4 patients with a lesion, too few to choose by" in text
    assert text.endswith("is from 4 patients, too few to judge.")


@pytest.fixture
def repeated(baseline, result):
    """Two budgets whose budget of multiply-accumulates allows less: the same ranks."""
    made = result("budget", 0.25, 0.775, 100_000)
    specs = [dataclasses.replace(made.spec, budget=budget, mac_budget=0.25) for budget in (0.125, 0.25)]
    return [baseline, *(dataclasses.replace(made, spec=spec) for spec in specs)]


def test_variants_of_the_same_network_are_known(repeated):
    assert same_networks(repeated) == {"budget_0.125_macs_0.25": "budget_0.25_macs_0.25"}
    other = dataclasses.replace(repeated[1], per_image=images([0.5] * 12))
    assert same_networks([repeated[0], other, repeated[2]]) == {}, "the same ranks may hold other weights"
    assert same_networks([repeated[0], repeated[0]]) == {}, "a baseline has no ranks"


def test_pruned_networks_of_the_same_channels_are_known(baseline, result):
    made = result("pruned", 0.5, 0.775, 100_000)
    within = dataclasses.replace(made, layers=[], spec=dataclasses.replace(made.spec, mac_budget=0.6))
    assert same_networks([baseline, dataclasses.replace(made, layers=[]), within]) == {
        "pruned_0.5_macs_0.6": "pruned_0.5"
    }


def test_a_network_is_recommended_once_and_its_other_name_is_told(repeated):
    comparison = Comparison(repeated)
    assert comparison.recommended.name == "budget_0.25_macs_0.25"
    assert comparison.front == {"baseline", "budget_0.25_macs_0.25"}
    assert "budget_0.125_macs_0.25 is the same network." in answer(comparison)
    assert "same network" not in answer(Comparison([repeated[0], repeated[2]]))


def test_the_hint_lets_svd_choose_schemes_as_budget_does(baseline, result):
    def at(scheme):
        svd = dataclasses.replace(result("svd", 4, 0.7, 1000).spec, budget=0.25, rank=None, scheme=scheme)
        other = result("budget", 0.25, 0.75, 1000)
        other = dataclasses.replace(other, spec=dataclasses.replace(other.spec, scheme="auto"))
        return methods_answer(Comparison([baseline, dataclasses.replace(result("svd", 4, 0.7, 1000), spec=svd), other]))

    assert at("channel").endswith("to let SVD choose so too, add compression.scheme=auto.")
    assert "scheme" not in at("auto"), "the advice does what it says"


def test_the_safe_network_beside_the_recommended_one_is_named_once(baseline, result):
    """As the first of those with the same network, whatever its budget says."""
    full, values = baseline.metrics["dice"], baseline.per_image["dice"]
    unsteady = [dice + 0.2 * (-1) ** number for number, dice in enumerate(values)]
    safe = dataclasses.replace(
        result("budget", 0.25, full - 0.003, 1000), per_image=images([dice - 0.003 for dice in values])
    )
    tighter = dataclasses.replace(safe, spec=dataclasses.replace(safe.spec, budget=0.125))
    taken = dataclasses.replace(result("svd", 2, full, 1009), per_image=images(unsteady))
    text = answer(Comparison([baseline, safe, tighter, taken]))
    assert "such a loss is excluded for budget_0.25, with" in text
