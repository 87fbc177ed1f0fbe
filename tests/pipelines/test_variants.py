"""The list of variants, and what is done to each."""

import pytest

from configs.schema import CompressionConfig, RunConfig
from pipelines.variant_list import variant_specs
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
    assert {"compress_baseline_w8", "recalibrate_smallest_w4", "finetune_size_0.1"} <= {*step_names(settings)}


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
