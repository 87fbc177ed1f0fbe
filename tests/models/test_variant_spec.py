"""Descriptions of variants: names, what they refuse, and their way through JSON."""

import json
import re

import pytest

from models.variant_spec import BASELINE, VariantSpec

SPECS = {
    "baseline": BASELINE,
    "svd_rank_16": VariantSpec("svd", rank=16, scheme="channel"),
    "arsvd_tau_0.9": VariantSpec("arsvd", tau=0.9, distribution="energy"),
    "svd_budget_0.25": VariantSpec("svd", budget=0.25),
    "arsvd_budget_0.125": VariantSpec("arsvd", budget=0.125, distribution="sigma"),
    "energy_0.9": VariantSpec("energy", energy=0.9, scheme="channel"),
    "energy_budget_0.25": VariantSpec("energy", energy=0.7, budget=0.25),
    "rank_ratio_0.5": VariantSpec("rank_ratio", rank_ratio=0.5),
    "evbmf": VariantSpec("evbmf", scheme="spatial"),
    "evbmf_w8": VariantSpec("evbmf", weight_bits=8),
    "seed_2_evbmf": VariantSpec("evbmf", seed=2),
    "filters_8_evbmf_w8": VariantSpec("evbmf", filters=8, weight_bits=8),
    "hard_threshold_budget_0.25": VariantSpec("hard_threshold", budget=0.25, scale=12.5),
    "effective_rank_budget_0.5_w4": VariantSpec("effective_rank", budget=0.5, weight_bits=4),
    "stable_rank": VariantSpec("stable_rank"),
    "budget_0.25": VariantSpec("budget", budget=0.25, weighting="curvature", statistics_images=64),
    "budget_0.25_macs_0.3": VariantSpec("budget", budget=0.25, mac_budget=0.3),
    "pruned_0.25": VariantSpec("pruned", budget=0.25, statistics_images=64),
    "pruned_0.25_macs_0.3": VariantSpec("pruned", budget=0.25, mac_budget=0.3),
    "pruned_0.25_w8": VariantSpec("pruned", budget=0.25, weight_bits=8),
    "baseline_w8": VariantSpec("baseline", weight_bits=8),
    "svd_rank_16_w4": VariantSpec("svd", rank=16, weight_bits=4),
    "smallest_w8": VariantSpec("budget", max_dice_loss=0.01, budget=0.3, weight_bits=8),
    "size_0.05": VariantSpec("size", size=0.05, weighting="curvature", scheme="auto"),
    "filters_8": VariantSpec("baseline", filters=8),
    "filters_8_w8": VariantSpec("baseline", filters=8, weight_bits=8),
    "filters_8_budget_0.25": VariantSpec("budget", budget=0.25, filters=8),
    "filters_8_distilled": VariantSpec("baseline", filters=8, distilled=0.5),
    "filters_8_distilled_w8": VariantSpec("baseline", filters=8, distilled=0.5, weight_bits=8),
    "filters_8_distilled_budget_0.25": VariantSpec("budget", budget=0.25, filters=8, distilled=1.0),
    "filters_8_distilled_seed_0": VariantSpec("baseline", filters=8, distilled=0.5, seed=0),
    "seed_2": VariantSpec("baseline", seed=2),
    "seed_2_budget_0.25": VariantSpec("budget", budget=0.25, seed=2),
    "filters_8_seed_0_svd_rank_16": VariantSpec("svd", rank=16, filters=8, seed=0),
    "filters_8_seed_2_smallest_w4": VariantSpec("budget", max_dice_loss=0.01, filters=8, seed=2, weight_bits=4),
    "budget_1": VariantSpec("budget", budget=1.0, finetune_epochs=3, finetune_lr=1e-5, finetune_distillation=0.0),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_description_has_the_name_that_others_rely_on(name: str) -> None:
    assert SPECS[name].name == name


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_description_survives_json(spec: VariantSpec) -> None:
    assert VariantSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert spec.parameters() == {key: value for key, value in spec.to_dict().items() if key != "method"}
    assert None not in spec.to_dict().values()


def test_no_two_descriptions_of_different_size_have_one_name() -> None:
    specs = [VariantSpec("arsvd", tau=tau) for tau in (0.1 + 0.2, 0.3, 0.1234567, 0.1234568)]
    assert len({spec.name for spec in specs}) == 3, "0.1 + 0.2 is 0.3 to twelve digits, and no user writes more"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"method": "tucker"}, "known are baseline, svd, arsvd, energy, rank_ratio, evbmf, .*, budget, pruned, size"),
        ({"method": "baseline", "rank": 3}, "baseline has rank; give none"),
        ({"method": "svd"}, "svd has no size; give rank or budget"),
        ({"method": "svd", "tau": 0.5}, "svd has tau; give rank or budget"),
        ({"method": "arsvd", "tau": 0.5, "rank": 2}, "arsvd has rank, tau; give tau or budget"),
        ({"method": "budget", "rank": 3}, "budget has rank; give budget or max_dice_loss"),
        ({"method": "budget", "max_dice_loss": -0.1}, "max_dice_loss is -0.1"),
        ({"method": "svd", "budget": 0.5, "mac_budget": 0.5}, "svd has a mac_budget"),
        ({"method": "svd", "rank": 3, "distribution": "energy"}, "svd has a distribution"),
        ({"method": "svd", "rank": 0}, "rank is 0"),
        ({"method": "arsvd", "tau": -1.0}, "tau is -1.0"),
        ({"method": "budget", "budget": 2.0}, "budget is 2.0"),
        ({"method": "energy"}, "energy has no size; give energy or budget"),
        ({"method": "energy", "energy": 1.5}, "energy is 1.5"),
        ({"method": "rank_ratio", "energy": 0.5}, "rank_ratio has energy; give rank_ratio or budget"),
        ({"method": "evbmf", "rank": 3}, "evbmf has rank; give budget"),
        ({"method": "evbmf", "scale": 2.0}, "evbmf has a scale of 2.0; leave it to a budget"),
        ({"method": "svd", "budget": 0.5, "scale": 2.0}, "svd has a scale of 2.0; leave it to a budget"),
        ({"method": "pruned", "rank": 3}, "pruned has rank; give budget"),
        ({"method": "size", "size": 0.0}, "size is 0.0"),
        ({"method": "size", "budget": 0.5}, "size has budget; give size"),
        ({"method": "size", "size": 0.5, "weight_bits": 8}, "none with a size"),
        ({"method": "svd", "rank": 3, "weight_bits": 9}, "weight_bits of svd is 9; give 2, 3"),
        ({"method": "budget", "budget": 0.5, "mac_budget": float("nan")}, "mac_budget is nan"),
    ],
)
def test_contradictions_are_refused(fields: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        VariantSpec.from_dict(fields)


def test_recovery_says_what_was_done() -> None:
    assert [BASELINE.recovery, VariantSpec("svd", rank=1, recalibrated=8).recovery] == ["none", "recalibrated"]
    both = VariantSpec("svd", rank=1, recalibrated=8, finetune_epochs=2)
    assert both.recovery == "recalibrated, fine-tuned"


def test_what_a_budget_solved_is_in_the_description_and_not_in_the_name() -> None:
    solved = VariantSpec("svd", budget=0.25, rank=12, scheme="channel")
    assert (solved.name, solved.sized_by) == ("svd_budget_0.25", "budget")
    assert solved.parameters() == {"rank": 12, "budget": 0.25, "scheme": "channel"}
    assert VariantSpec("arsvd", budget=0.25, tau=0.5).name == "arsvd_budget_0.25"
    assert VariantSpec("evbmf", budget=0.25, scale=3.5).name == "evbmf_budget_0.25"
    assert VariantSpec("evbmf").sized_by is None
    found = VariantSpec("budget", max_dice_loss=0.02, budget=0.1234)
    assert (found.name, found.sized_by) == ("smallest", "max_dice_loss")


def test_a_twin_in_few_bits_is_no_baseline_and_knows_what_it_was_rounded_from() -> None:
    twin = SPECS["baseline_w8"]
    assert (twin.is_baseline, twin.in_few_bits, twin.unrounded) == (False, True, BASELINE)
    assert (BASELINE.is_baseline, BASELINE.in_few_bits, BASELINE.unrounded) == (True, False, BASELINE)
    assert SPECS["smallest_w8"].unrounded.name == "smallest"
    assert SPECS["size_0.05"].in_few_bits


def test_the_baseline_is_the_dense_network_of_the_main_training_alone() -> None:
    dense = [name for name, spec in SPECS.items() if spec.is_dense]
    assert dense == ["baseline", "filters_8", "filters_8_distilled", "filters_8_distilled_seed_0", "seed_2"]
    assert [name for name, spec in SPECS.items() if spec.is_baseline] == ["baseline"]


def test_a_variant_of_another_seed_knows_that_of_the_first() -> None:
    assert SPECS["filters_8_seed_0_svd_rank_16"].of_first_seed.name == "filters_8_svd_rank_16"
    assert SPECS["seed_2"].of_first_seed == BASELINE
    assert SPECS["filters_8_distilled_seed_0"].of_first_seed == SPECS["filters_8_distilled"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"distilled": 0.5}, "give its filters"), ({"filters": 8, "distilled": 0}, "distilled is 0; it must lie in")],
)
def test_a_teacher_is_of_narrower_widths_and_has_a_share(fields: dict, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        VariantSpec("baseline", **fields)
