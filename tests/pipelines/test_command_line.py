"""The commands that people type, and what they are told when something is wrong."""

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tests.pipelines.workshop import Workshop

pytestmark = pytest.mark.pipeline

# What runs where there is one variant more, beside its own steps.
OF_ALL = {"fingerprint_dataset", "time_networks", "draw_pictures", "compare"}
SMALL = ("--base_filters", "2", "--image_size", "32", "32")


@pytest.mark.parametrize(
    "command",
    [
        "--data_root ./data --device cuda",
        pytest.param(
            "--data_root {data} --out_dir ./artifacts_cpu --device cpu --batch_size 4 --epochs 3",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "--data_root ./data --out_dir ./experiments/run1 --device cuda --epochs 5"
            ' --svd_ranks 16,32,64 --arsvd_taus "0.85,0.9,0.95"',
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_commands_of_the_reference_work_as_typed(workshop: Workshop, command: str) -> None:
    """Only made smaller by two more flags, so that they end in seconds; without CUDA, with a word about that."""
    import torch  # noqa: PLC0415 - slow to import

    if not (workshop.root / "data").exists():
        shutil.copytree(workshop.data, workshop.root / "data")
    arguments = [word.strip('"') for word in command.format(data=workshop.data).split()]
    done = workshop.run(*arguments, *SMALL, tiny=False)
    assert ("CUDA is not available" in done.stderr) == ("cuda" in arguments and not torch.cuda.is_available())
    out = arguments[arguments.index("--out_dir") + 1] if "--out_dir" in arguments else "artifacts"
    summary = json.loads((workshop.root / out / "experiment_summary.json").read_text())
    assert len(summary["svd_variants"]) == len(summary["arsvd_variants"]) == (3 if "0.85" in command else 1)


def test_a_baseline_alone_is_a_comparison_too(workshop: Workshop) -> None:
    workshop.run("--svd_ranks", "", "--arsvd_taus", "")
    workshop.assert_complete({"baseline"})


@pytest.mark.slow
def test_a_budget_of_multiply_accumulates_is_kept_as_well(workshop: Workshop) -> None:
    sweep = ("--svd_ranks", "", "--arsvd_taus", "", "--budgets", "0.4")
    workshop.run(*sweep)
    before = workshop.variants()
    full = before["baseline"]["info"]
    limit = round(0.8 * before["budget_0.4"]["info"]["macs"] / full["macs"], 3)
    name = f"budget_0.4_macs_{limit}"
    more = workshop.run(*sweep, "--mac_budgets", str(limit))
    assert more.ran == {f"compress_{name}", f"evaluate_{name}"} | OF_ALL
    workshop.assert_complete({*before, name})
    faster = workshop.variants()[name]
    assert faster["info"]["macs"] <= limit * full["macs"]
    assert faster["info"]["params"] <= 0.4 * full["params"]
    assert (faster["budget"], faster["mac_budget"]) == (0.4, limit)
    assert "GMACs" in more.stdout
    assert "budget - svd" in more.stdout


@pytest.mark.slow
def test_budgets_are_kept_and_fine_tuned_networks_are_compared_alike(workshop: Workshop) -> None:
    done = workshop.run("--budgets", "0.5,0.3", "--finetune_compressed", "--finetune_epochs", "1", "--svd_ranks", "1")
    assert {"compress_budget_0.5", "finetune_budget_0.3", "finetune_svd_rank_1"} <= done.ran
    variants = workshop.variants()
    full = variants["baseline"]["info"]["params"]
    assert variants["budget_0.5"]["info"]["params"] <= 0.5 * full
    assert variants["budget_0.3"]["info"]["params"] <= 0.3 * full
    for method in ("svd", "arsvd"):
        assert variants[f"{method}_budget_0.3"]["info"]["params"] <= 0.3 * full
        assert variants[f"{method}_budget_0.3"]["method"] == method
    assert "budget - arsvd" in done.stdout
    assert all(entry.get("finetune_epochs") == 1 for name, entry in variants.items() if name != "baseline")


def test_a_run_from_another_folder_records_in_the_repository(workshop: Workshop, tmp_path: Path) -> None:
    script = str(workshop.root / "run_pipeline.py")
    done = workshop.call(
        "python",
        script,
        "--config",
        str(workshop.root / "tiny.yaml"),
        "--data_root",
        str(workshop.data),
        "--out_dir",
        "here",
        cwd=tmp_path,
    )
    assert done.status == 0, done.stderr
    assert done.ran == {"fingerprint_dataset", "compare"}, "the way the program is started changes no cache key"
    assert (tmp_path / "here" / "report.html").is_file()
    assert {file.name for file in tmp_path.iterdir()} == {"here"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data_root", "/no/such/folder"), "/no/such/folder"),
        (("--epochs", "0"), "--epochs"),
        (("--no_such_flag",), "--no_such_flag"),
        (("--config", "missing.yaml"), "missing.yaml"),
        (("--out_dir", "tiny.yaml/none"), "--out_dir"),
        (("--budgets", "0.5", "--mac_budgets", "0.001"), "of the multiply-accumulates by the scheme auto"),
    ],
)
def test_wrong_input_is_said_in_a_sentence_with_status_2(
    workshop: Workshop, arguments: tuple[str, ...], said: str
) -> None:
    failed = workshop.run(*arguments, check=False, cold=said == "--no_such_flag")
    assert failed.status == 2
    assert said in failed.stderr
    assert "Traceback" not in failed.stderr


def test_two_runs_do_not_write_to_one_folder(workshop: Workshop) -> None:
    with FileLock(workshop.out / ".lock"):
        failed = workshop.run(check=False)
    assert failed.status == 2
    assert "another run writes to" in failed.stderr


def test_bad_samples_stop_the_run_unless_they_may_be_skipped_and_classes_are_learned_apart(
    workshop: Workshop, tmp_path: Path
) -> None:
    data, out = shutil.copytree(workshop.data, tmp_path / "data"), tmp_path / "out"
    places = ("--data_root", str(data), "--out_dir", str(out))
    image = next(file for file in sorted((data / "train").iterdir()) if not file.name.endswith("json"))
    image.write_bytes(b"this is no image")
    failed = workshop.run(*places, check=False)
    assert failed.status == 2
    assert image.name in failed.stderr
    assert not (out / "experiment_summary.json").exists()
    workshop.run(*places, "--skip_bad_samples", "--multi_class", "--svd_ranks", "1", "--arsvd_taus", "")
    manifest = json.loads((out / "dataset_manifest.json").read_text())
    assert [entry["file_name"] for entry in manifest["refused"]] == [image.name]
    assert manifest["multi_class"]
    assert [entry["index"] for entry in manifest["classes"]] == [0, 1]


@pytest.mark.slow
def test_one_budget_more_runs_its_own_variants_alone(workshop: Workshop) -> None:
    first = workshop.run("--svd_ranks", "", "--arsvd_taus", "", "--budgets", "0.5,0.4,0.3,0.2", "--recalibrate")
    assert "compress_budget_0.2" in first.ran
    more = workshop.run("--svd_ranks", "", "--arsvd_taus", "", "--budgets", "0.5,0.4,0.3,0.2,0.15", "--recalibrate")
    names = ("budget_0.15", "svd_budget_0.15", "arsvd_budget_0.15")
    steps = {f"{step}_{name}" for step in ("compress", "recalibrate", "evaluate") for name in names}
    assert more.ran == steps | OF_ALL
