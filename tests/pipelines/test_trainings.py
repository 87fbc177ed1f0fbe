"""Several trainings in one run: what runs when one is added, and what is left of each."""

import pytest

from tests.pipelines.workshop import Finished, Workshop

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

ONE_VARIANT = ("--svd_ranks", "1", "--arsvd_taus", "")
ALWAYS = {"fingerprint_dataset", "compare"}
SHOWN = {"time_networks", "draw_pictures"}
NAMES = {
    f"{training}{separator}{variant}"
    for training, separator in (("", ""), ("seed_43", "_"), ("filters_2", "_"), ("filters_2_seed_43", "_"))
    for variant in ("svd_rank_1",)
} | {"baseline", "seed_43", "filters_2", "filters_2_seed_43"}


def steps_of(training: str) -> set[str]:
    shared = {f"{step}_{training}" for step in ("train_unet", "name_dense", "decompose", "evaluate")}
    return shared | {f"{step}_{training}_svd_rank_1" for step in ("compress", "evaluate")}


@pytest.fixture(scope="module")
def runs(workshop: Workshop) -> tuple[Finished, Finished]:
    """A width added to the training that there is, then a seed to both."""
    width = workshop.run(*ONE_VARIANT, "--base_filters", "4,2")
    return width, workshop.run(*ONE_VARIANT, "--base_filters", "4,2", "--seeds", "42,43")


def test_a_further_width_or_seed_is_trained_alone(runs: tuple[Finished, Finished]) -> None:
    width, seed = runs
    assert width.ran == ALWAYS | SHOWN | steps_of("filters_2")
    assert seed.ran == ALWAYS | SHOWN | steps_of("seed_43") | steps_of("filters_2_seed_43")


def test_files_and_records_hold_every_training(runs: tuple[Finished, Finished], workshop: Workshop) -> None:
    summary, variants = workshop.summary(), workshop.variants()
    assert {*variants} == NAMES
    assert {folder.name for folder in (workshop.out / "networks").iterdir()} == NAMES
    found = [(each["filters"], each["seed"], len(each["epochs"])) for each in summary["trainings"]]
    assert found == [(4, 42, 1), (4, 43, 1), (2, 42, 1), (2, 43, 1)]
    assert {line["variant"]: line["trainings"] for line in summary["over_trainings"]} == {
        "baseline": 2,
        "svd_rank_1": 2,
        "filters_2": 2,
        "filters_2_svd_rank_1": 2,
    }
    assert variants["filters_2"]["info"]["params"] < variants["baseline"]["info"]["params"] / 3
    recorded = [{*children} for children in workshop.recorded().values()]
    for training in ("seed_43", "filters_2", "filters_2_seed_43"):
        assert {training, f"{training}_svd_rank_1"} in recorded
    report = (workshop.out / "report.html").read_text()
    assert "U-Net with 4, 2 filters" in report
    assert "Over 2 trainings" not in report, "of a baseline that finds nothing, nothing is said"


def test_a_network_that_was_a_further_training_is_not_trained_again_where_it_is_the_main_one(
    runs: tuple[Finished, Finished], workshop: Workshop
) -> None:
    alone = workshop.run(*ONE_VARIANT, "--base_filters", "2")
    assert not {"train_unet", "decompose", "evaluate_filters_2"} & alone.ran
    assert {*workshop.variants()} == {"baseline", "svd_rank_1"}


def test_a_further_training_can_be_reused_by_its_version(runs: tuple[Finished, Finished], workshop: Workshop) -> None:
    done = workshop.run(*ONE_VARIANT, "--reuse_training", "baseline_network:2")
    assert "U-Net of 2 filters" in done.stderr
    assert not [step for step in done.steps if step.startswith("train_unet")]


def test_a_taught_network_is_trained_alone_beside_the_one_without_a_teacher(
    runs: tuple[Finished, Finished], workshop: Workshop
) -> None:
    asked = (*ONE_VARIANT, "--base_filters", "4,2", "--distill_narrow")
    done = workshop.run(*asked)
    assert done.ran == ALWAYS | SHOWN | steps_of("filters_2_distilled")
    assert "train_unet_filters_2_distilled epoch 1/1: " in done.stderr, "the line of an epoch says which training it is"
    variants = workshop.variants()
    assert {*variants} == {name for name in NAMES if "seed" not in name} | {
        "filters_2_distilled",
        "filters_2_distilled_svd_rank_1",
    }
    assert variants["filters_2_distilled"]["distilled"] == 0.5
    assert variants["filters_2_distilled"]["info"]["params"] == variants["filters_2"]["info"]["params"]
    found = [(each["filters"], each.get("distilled")) for each in workshop.summary()["trainings"]]
    assert found == [(4, None), (2, None), (2, 0.5)]
    recorded = [{*children} for children in workshop.recorded().values()]
    assert {"filters_2_distilled", "filters_2_distilled_svd_rank_1"} in recorded
    other = workshop.run(*asked, "distill_narrow.share=0.25")
    assert "train_unet_filters_2_distilled" in other.ran, "another share is another network"
    assert "train_unet_filters_2" not in other.ran
    assert workshop.run(*asked).ran == ALWAYS, "and both are known"
