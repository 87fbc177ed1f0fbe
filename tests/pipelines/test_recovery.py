"""Compressed networks that are recalibrated and fine-tuned: what is made, kept, and made again."""

import json
import signal

import pytest

from tests.pipelines.processes import started
from tests.pipelines.workshop import Finished, Workshop

pytestmark = pytest.mark.pipeline

ONE = ("--svd_ranks", "1", "--arsvd_taus", "")
RECOVER = (*ONE, "--recalibrate", "--recalibration_images", "12")
TUNE = ("--finetune_compressed", "--finetune_epochs", "2", "--finetune_lr", "0.001", "--finetune_distillation", "0.5")
NAMES = {"baseline", "svd_rank_1"}
ALWAYS = {"fingerprint_dataset", "compare"}
BEFORE = {"dice_before_recovery", "iou_before_recovery"}


def networks_of(workshop: Workshop, *steps: str) -> list[str]:
    """The name of the network that each of some steps of the last run gave out."""
    code = (
        "from zenml.client import Client; import sys;"
        "run = Client().list_pipeline_runs(sort_by='desc:created', size=1).items[0];"
        "print(*[name for step in sys.argv[1:] for name in run.steps[step].outputs if name.endswith('_network')])"
    )
    return workshop.call("python", "-c", code, *steps).stdout.splitlines()[-1].split()


@pytest.fixture(scope="module")
def recalibrated(workshop: Workshop) -> Finished:
    """The first run that recovers."""
    return workshop.run(*RECOVER)


def test_a_recalibrated_network_is_the_variants_network(workshop: Workshop, recalibrated: Finished) -> None:
    assert recalibrated.ran == ALWAYS | {
        "compress_svd_rank_1",
        "recalibrate_svd_rank_1",
        "evaluate_svd_rank_1",
        "time_networks",
        "draw_pictures",
    }
    assert networks_of(workshop, "compress_svd_rank_1", "recalibrate_svd_rank_1") == [
        "svd_rank_1_truncated_network",
        "svd_rank_1_network",
    ]
    variants = workshop.variants()
    assert variants["svd_rank_1"]["recalibrated"] == 12
    assert set(variants["svd_rank_1"]["metrics"]) >= BEFORE
    assert not set(variants["baseline"]["metrics"]) & BEFORE
    assert "finetune_history" not in variants["svd_rank_1"]
    assert "before" in recalibrated.stdout
    workshop.assert_complete(NAMES)


@pytest.mark.slow
def test_without_recovery_the_truncated_network_is_the_variants_again(workshop: Workshop) -> None:
    workshop.run(*RECOVER)
    assert workshop.run(*ONE).ran == ALWAYS | {"time_networks", "draw_pictures"}
    assert networks_of(workshop, "compress_svd_rank_1") == ["svd_rank_1_network"]
    assert not set(workshop.variants()["svd_rank_1"]["metrics"]) & BEFORE
    workshop.assert_complete(NAMES)


@pytest.mark.slow
def test_more_images_than_there_are_is_all_of_them(workshop: Workshop) -> None:
    workshop.run(*ONE, "--recalibrate", "--recalibration_images", "1000")
    assert workshop.variants()["svd_rank_1"]["recalibrated"] == 16


def test_fine_tuning_follows_recalibration_and_leaves_its_curves(workshop: Workshop, recalibrated: Finished) -> None:
    done = workshop.run(*RECOVER, *TUNE)
    assert {"recalibrate_svd_rank_1", "finetune_svd_rank_1", "evaluate_svd_rank_1"} < done.ran
    assert not {"train_unet", "compress_svd_rank_1", "evaluate_baseline"} & done.ran
    assert networks_of(workshop, "recalibrate_svd_rank_1", "finetune_svd_rank_1") == [
        "svd_rank_1_recalibrated_network",
        "svd_rank_1_network",
    ]
    workshop.assert_complete(NAMES)
    entry = workshop.variants()["svd_rank_1"]
    assert (entry["recalibrated"], entry["finetune_epochs"], entry["finetune_distillation"]) == (12, 2, 0.5)
    assert [epoch["epoch"] for epoch in entry["finetune_history"]["epochs"]] == [0, 1, 2]
    assert (workshop.out / "plots" / "finetuning_curves.png").is_file()
    assert "Fine-tuning of the compressed networks" in (workshop.out / "report.html").read_text()
    recorded = next(children for children in workshop.recorded().values() if set(children) >= NAMES)["svd_rank_1"]
    assert set(recorded) >= {"detail/dice_before_recovery"} | {
        f"finetune/{name}" for name in ("train_loss", "valid_dice", "lr", "seconds")
    }
    assert recorded["detail/dice_before_recovery"] == pytest.approx(entry["metrics"]["dice_before_recovery"])
    curve = workshop.query("SELECT value FROM metrics WHERE key = 'finetune/valid_dice' ORDER BY step")
    assert [value for (value,) in curve] == [epoch["valid_dice"] for epoch in entry["finetune_history"]["epochs"]]
    assert workshop.run(*RECOVER, *TUNE).ran == ALWAYS


@pytest.mark.slow
def test_a_reused_training_finds_its_recovered_networks(workshop: Workshop) -> None:
    workshop.run(*RECOVER, *TUNE)
    assert workshop.run("--reuse_training", *RECOVER, *TUNE).ran == {"compare"}
    workshop.assert_complete(NAMES)


@pytest.mark.slow
def test_killed_fine_tuning_goes_on_from_its_last_epoch(workshop: Workshop) -> None:
    tuning = (*ONE, "--finetune_compressed", "--finetune_epochs", "60", "--finetune_distillation", "0.5")
    with started(workshop, *workshop.arguments, *tuning) as run:
        run.wait_for_epochs(3)
        run.send(signal.SIGKILL)
    again = workshop.run(*tuning)
    epochs = [line.split()[2] for line in again.stderr.splitlines() if " epoch " in line]
    assert epochs[-1] == "60/60:"
    assert int(epochs[0].split("/")[0]) > 3, "it started from the beginning"
    summary = json.loads((workshop.out / "experiment_summary.json").read_text())
    assert len(summary["svd_variants"][0]["finetune_history"]["epochs"]) == 61
    workshop.assert_complete(NAMES)


@pytest.mark.slow
def test_sizes_are_trained_as_they_are_rounded_and_twins_before_they_are(workshop: Workshop) -> None:
    few = (*RECOVER, *TUNE, "--weight_bits", "8", "--size_budgets", "0.4")
    done = workshop.run(*few)
    names = NAMES | {"baseline_w8", "svd_rank_1_w8", "size_0.4"}
    assert {"compress_svd_rank_1_w8", "recalibrate_svd_rank_1_w8", "finetune_size_0.4"} < done.ran
    assert networks_of(workshop, "recalibrate_size_0.4", "finetune_size_0.4") == [
        "size_0.4_recalibrated_network",
        "size_0.4_network",
    ]
    workshop.assert_complete(names)
    variants = workshop.variants()
    full = variants["baseline"]["info"]["size_MB"]
    assert variants["size_0.4"]["info"]["size_MB"] <= 0.4 * full
    assert variants["baseline_w8"]["info"]["size_MB"] < variants["baseline"]["info"]["size_MB"]
    assert variants["svd_rank_1_w8"]["finetune_epochs"] == 2, "it was rounded from the one that was fine-tuned"
    assert "recalibrated" not in variants["baseline_w8"]
    assert set(variants["size_0.4"]["metrics"]) >= BEFORE
    assert not set(variants["svd_rank_1_w8"]["metrics"]) & BEFORE, "it was never without recovery"
    assert "finetune_history" in variants["size_0.4"]
    assert "finetune_history" not in variants["svd_rank_1_w8"]
    for name in names:
        saved = (workshop.out / "networks" / name / "weights.safetensors").stat().st_size
        assert saved == round(1e6 * variants[name]["info"]["size_MB"])
    assert "at bytes" in done.stdout
    assert workshop.run(*few).ran == ALWAYS


@pytest.mark.slow
def test_pruned_networks_go_the_way_of_all_others(workshop: Workshop) -> None:
    names = {"baseline", "svd_budget_0.5", "arsvd_budget_0.5", "budget_0.5", "pruned_0.5", "pruned_0.5_macs_0.6"}
    names |= {"budget_0.5_macs_0.6"}
    sizes = ("--svd_ranks", "", "--arsvd_taus", "", "--budgets", "0.5", "--pruned", "0.5", "--mac_budgets", "0.6")
    export = ("--export", "onnx", "--export_variant", "pruned_0.5")
    workshop.run(*sizes, *export, "--recalibrate", "--recalibration_images", "12", *TUNE)
    workshop.assert_complete(names)
    entry, both = workshop.summary()["pruned_variants"]
    baseline = workshop.summary()["baseline"]["info"]
    assert 0.45 * baseline["params"] < entry["info"]["params"] <= 0.5 * baseline["params"]
    assert both["info"]["macs"] <= 0.6 * baseline["macs"]
    assert (entry["name"], entry["recalibrated"], len(entry["finetune_history"]["epochs"])) == ("pruned_0.5", 12, 3)
    assert (workshop.out / "export" / "pruned_0.5" / "model.onnx").is_file()
