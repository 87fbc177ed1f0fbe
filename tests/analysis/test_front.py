"""Which variants are the best trade-offs."""

import dataclasses
import math

import pytest

from analysis.front import front_names, pareto_front
from tests.comparisons import images


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([], []),
        ([(5, 0.5)], [0]),
        ([(5, 0.5), (3, 0.5)], [1]),  # as good and cheaper
        ([(5, 0.5), (5, 0.6)], [1]),  # as cheap and better
        ([(9, 0.9), (1, 0.1), (5, 0.5)], [1, 2, 0]),  # a trade at every step, by cost
        ([(1, 0.9), (2, 0.8), (3, 0.7)], [0]),  # the cheapest is the best
        ([(2, 0.5), (2, 0.5), (3, 0.5)], [0, 1]),  # equal points stand or fall together
        ([(1, math.nan), (2, 0.5)], [1]),
    ],
)
def test_pareto_front_of_hand_tables(points, front):
    assert pareto_front(points) == front


def test_a_network_without_use_is_no_tradeoff(baseline, result):
    nothing, little = result("svd", 4, 0.0, 10), result("svd", 8, 0.3, 20)
    enough = result("svd", 16, 0.7, 30)
    assert front_names([baseline, nothing, little, enough]) == {"baseline", "svd_rank_16"}
    less = result("svd", 12, 0.69, 25)
    assert front_names([baseline, less, enough]) == {"baseline", "svd_rank_16"}, "nobody takes less than nine tenths"
    assert front_names([nothing, little]) == {"svd_rank_8"}, "without a baseline, what finds nothing"


def test_another_cost_has_another_front(baseline, result):
    slow, quick = result("svd", 16, 0.7, 100, 9.0), result("svd", 32, 0.71, 200, 2.0)
    assert front_names([slow, quick]) == {"svd_rank_16", "svd_rank_32"}
    assert front_names([slow, quick], lambda r: r.latency.ratio) == {"svd_rank_32"}


def shifted(result, changes):
    """A variant with other values of single images, and their mean."""
    dice = [value + change for value, change in zip(result.per_image["dice"], changes, strict=True)]
    mean = sum(dice) / len(dice)
    return dataclasses.replace(result, per_image=images(dice), metrics=result.metrics | {"dice_lesion": mean})


def test_a_larger_network_is_marked_only_if_it_is_better_by_more_than_chance(result):
    smallest = result("svd", 2, 0.5467, 14_281)
    noise = shifted(result("arsvd", 0.9, 0.5467, 199_569), [0.1, -0.099] * 6)
    better = shifted(result("budget", 0.5, 0.5467, 300_000), [0.02, 0.01] * 6)
    assert noise.metrics["dice_lesion"] > smallest.metrics["dice_lesion"]
    assert front_names([smallest, noise, better]) == {"svd_rank_2", "budget_0.5"}
    assert front_names([noise, better]) == {"arsvd_tau_0.9"}, "better than the noise by chance alone"


def test_of_nearly_equal_sizes_the_better_alone_is_marked(result):
    worse, better = result("svd", 2, 0.70, 10_000), result("budget", 0.5, 0.75, 10_090)
    assert front_names([worse, better]) == {"budget_0.5"}
    assert front_names([worse, result("budget", 0.5, 0.75, 10_200)]) == {"svd_rank_2", "budget_0.5"}
    assert front_names([worse, better], lambda r: r.cost.params * (1 if r is better else 2)) == {"budget_0.5"}


def test_the_baseline_is_no_exception(baseline, result):
    small = shifted(result("svd", 2, 0.7768, 14_281), [0.1, -0.101] * 6)
    assert front_names([baseline, small]) == {"svd_rank_2"}


def test_too_few_images_have_the_plain_front(result):
    few = [
        dataclasses.replace(each, per_image=images([0.5, dice]))
        for each, dice in ((result("svd", 2, 0.55, 10), 0.6), (result("svd", 4, 0.56, 20), 0.7))
    ]
    assert front_names(few) == {"svd_rank_2", "svd_rank_4"}
    unknown = [dataclasses.replace(each, per_image={}) for each in few]
    assert front_names(unknown) == {"svd_rank_2", "svd_rank_4"}
