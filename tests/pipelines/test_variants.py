"""The list of variants, and what is done to each."""

import pytest

from configs.schema import CompressionConfig, RunConfig
from models.variant_spec import ESTIMATES
from pipelines.variant_list import specs_of, variant_specs
from pipelines.variant_steps import stages_of
from pipelines.variants import step_names


def test_every_network_in_float32_has_a_twin_for_each_number_of_bits() -> None:
    settings = CompressionConfig(
        svd_ranks=(4,), arsvd_taus=(), budgets=(0.25,), max_dice_loss=0.01, weight_bits=(8, 4), size_budgets=(0.1,)
    )
    names = [spec.name for spec in variant_specs(settings)]
    in_float32 = ["svd_rank_4", "svd_budget_0.25", "arsvd_budget_0.25", "budget_0.25", "smallest"]
    twins = [f"{name}_w{bits}" for name in ("baseline", *in_float32) for bits in (8, 4)]
    assert names == ["size_0.1", *in_float32, *twins]
    assert {"compress_baseline_w8", "recalibrate_smallest_w4", "finetune_size_0.1"} <= {
        *step_names(RunConfig(compression=settings))
    }


def test_each_chosen_rule_is_made_by_itself_and_solved_for_each_budget() -> None:
    settings = CompressionConfig(
        svd_ranks=(),
        arsvd_taus=(),
        rank_rules=("evbmf", "stable_rank"),
        energies=(0.9, 0.8),
        rank_ratios=(0.5,),
        budgets=(0.5, 0.25),
        scheme="spatial",
    )
    specs = {spec.name: spec for spec in variant_specs(settings)}
    by_themselves = ["energy_0.9", "energy_0.8", "rank_ratio_0.5", "evbmf", "stable_rank"]
    methods = ("svd", "arsvd", "energy", "rank_ratio", "evbmf", "stable_rank")
    solved = [f"{method}_budget_{budget}" for budget in (0.5, 0.25) for method in methods]
    assert [*specs] == [*by_themselves, *solved, "budget_0.5", "budget_0.25"]
    assert {spec.scheme for name, spec in specs.items() if not name.startswith("budget")} == {"spatial"}
    assert {"compress_evbmf", "evaluate_energy_budget_0.5"} <= {*step_names(RunConfig(compression=settings))}


def test_every_pruned_share_is_also_met_with_every_share_of_the_macs() -> None:
    settings = CompressionConfig(svd_ranks=(), arsvd_taus=(), pruned=(0.5, 0.25), mac_budgets=(0.4,))
    names = [spec.name for spec in variant_specs(settings)]
    assert names == ["pruned_0.5", "pruned_0.5_macs_0.4", "pruned_0.25", "pruned_0.25_macs_0.4"]


@pytest.mark.parametrize(
    ("recover", "stages"),
    [
        ((), (["truncated"], ["truncated"], ["truncated"])),
        (
            ("recalibration",),
            (["truncated", "recalibrated"], ["truncated", "recalibrated"], ["truncated", "recalibrated"]),
        ),
        (("finetune",), (["truncated", "finetuned"], ["truncated"], ["truncated", "finetuned"])),
        (
            ("recalibration", "finetune"),
            (
                ["truncated", "recalibrated", "finetuned"],
                ["truncated", "recalibrated"],
                ["truncated", "recalibrated", "finetuned"],
            ),
        ),
    ],
)
def test_a_twin_is_trained_before_it_is_rounded_and_a_size_as_it_is_rounded(
    recover: tuple[str, ...], stages: tuple[list[str], ...]
) -> None:
    config = RunConfig.model_validate({name: {"enabled": True} for name in recover})
    settings = CompressionConfig(svd_ranks=(4,), arsvd_taus=(), weight_bits=(8,), size_budgets=(0.1,))
    by_name = {spec.name: stages_of(spec, config) for spec in variant_specs(settings)}
    assert by_name["baseline_w8"] == ["truncated"], "the baseline is not recalibrated either"
    assert (by_name["svd_rank_4"], by_name["svd_rank_4_w8"], by_name["size_0.1"]) == stages


def test_every_training_has_all_variants_with_its_name_in_front_and_its_dense_network() -> None:
    config = RunConfig.model_validate(
        {
            "model": {"base_filters": "16,8"},
            "seeds": "1,2",
            "compression": {"svd_ranks": 4, "arsvd_taus": (), "weight_bits": 8},
        }
    )
    own = ["svd_rank_4", "baseline_w8", "svd_rank_4_w8"]
    trainings = ("seed_2", "filters_8", "filters_8_seed_2")
    further = [[name, f"{name}_svd_rank_4", f"{name}_w8", f"{name}_svd_rank_4_w8"] for name in trainings]
    assert [spec.name for spec in specs_of(config)] == [*own, *(name for names in further for name in names)]
    steps = {*step_names(config)}
    assert {f"{step}_filters_8" for step in ("train_unet", "name_dense", "decompose", "evaluate")} < steps
    assert {"train_unet", "decompose", "evaluate_baseline", "compress_filters_8_seed_2_svd_rank_4_w8"} < steps
    assert not {"name_dense", "compress_filters_8", "train_unet_baseline"} & steps
    assert len(steps) == len(step_names(config))


def test_a_taught_training_has_steps_and_variants_of_its_own() -> None:
    asked = {"model": {"base_filters": "16,8"}, "seeds": "1,2", "compression": {"svd_ranks": 4, "arsvd_taus": ()}}
    without = RunConfig.model_validate(asked)
    taught = RunConfig.model_validate({**asked, "distill_narrow": {"enabled": True}})
    trainings = ("filters_8_distilled", "filters_8_distilled_seed_2")
    added = [name for training in trainings for name in (training, f"{training}_svd_rank_4")]
    assert [spec.name for spec in specs_of(taught)] == [*(spec.name for spec in specs_of(without)), *added]
    assert {spec.distilled for spec in specs_of(taught)} == {None, 0.5}
    steps = {*step_names(taught)} - {*step_names(without)}
    assert {f"{step}_{training}" for step in ("train_unet", "name_dense", "evaluate") for training in trainings} < steps
    assert len(step_names(taught)) == len({*step_names(taught)})


def test_one_training_has_the_steps_that_it_always_had() -> None:
    assert not [name for name in step_names(RunConfig()) if "filters" in name or "seed" in name]


def test_no_two_variants_of_a_run_have_one_name() -> None:
    every = CompressionConfig(
        svd_ranks=(4,),
        arsvd_taus=(0.9,),
        rank_rules=ESTIMATES,
        energies=(0.9,),
        rank_ratios=(0.5,),
        budgets=(0.5, 0.25),
        pruned=(0.5, 0.25),
        mac_budgets=(0.4,),
        size_budgets=(0.1,),
        weight_bits=(8, 4),
        max_dice_loss=0.01,
    )
    run = RunConfig(compression=every, model={"base_filters": 16, "further_filters": (8,)}, seeds=(1, 2))
    names = [spec.name for spec in specs_of(run)]
    assert len(names) == len({*names, "baseline"}) - 1
    assert {"filters_8", "seed_2_evbmf", "filters_8_seed_2_stable_rank_w8", "filters_8_pruned_0.25_macs_0.4"} < {*names}
