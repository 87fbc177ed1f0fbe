"""The pipeline from data to comparison: what it leaves behind, and what runs again after a change."""

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest

from tests.pipelines.workshop import TINY_VARIANTS, Finished, Workshop

pytestmark = pytest.mark.pipeline

ALWAYS = {"fingerprint_dataset", "compare"}
COMPRESS = {f"compress_{name}" for name in TINY_VARIANTS - {"baseline"}}
EVALUATE = {f"evaluate_{name}" for name in TINY_VARIANTS}
SHOWN = {"time_networks", "draw_pictures"}  # of all networks together
ALL = ALWAYS | {"ingest_coco", "train_unet", "decompose"} | SHOWN | COMPRESS | EVALUATE
FILES = (
    "experiment_summary.json",
    "results.csv",
    "train_history.json",
    "dataset_manifest.json",
    "report.html",
    "plots/dice_vs_params.png",
)
ZENML = ("python", "-c", "from zenml.cli.cli import cli; cli(prog_name='zenml')")
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


@contextmanager
def changed(file: Path, content: bytes) -> Iterator[None]:
    before = file.read_bytes()
    file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(before)


def test_a_first_run_executes_every_step_and_leaves_every_file(workshop: Workshop) -> None:
    assert workshop.first.ran == ALL
    assert all((workshop.out / file).stat().st_size > 0 for file in FILES)
    for name in TINY_VARIANTS:
        assert {file.name for file in (workshop.out / "networks" / name).iterdir()} == {
            "network.json",
            "weights.safetensors",
        }
    workshop.assert_complete(TINY_VARIANTS)


def test_the_first_line_says_what_the_run_is_about(workshop: Workshop) -> None:
    first = workshop.first.stderr.splitlines()[0]
    assert first == f"data: {workshop.data}, as 32x32, gray; network: U-Net of 4 filters; results: {workshop.out}"


def test_the_table_on_the_screen_names_every_variant(workshop: Workshop) -> None:
    assert all(name in workshop.first.stdout for name in TINY_VARIANTS)
    assert "report.html" in workshop.first.stdout


def test_the_summary_has_the_keys_that_programs_read(workshop: Workshop) -> None:
    for name, entry in workshop.variants().items():
        assert set(entry["info"]) == {
            "params",
            "size_MB",
            "macs",
            "latency_ms",
            "latency_ratio",
            "latency_ratio_low",
            "latency_ratio_high",
        }
        assert (
            entry["info"]["latency_ratio_low"] <= entry["info"]["latency_ratio"] <= entry["info"]["latency_ratio_high"]
        )
        assert {"dice", "iou", "pixel_accuracy", "dice_global", "iou_global"} <= set(entry["metrics"])
        if name != "baseline":
            assert set(entry["compression_vs_baseline_%"]) == {"params", "size_MB"}
            assert entry["per_layer_ranks"].keys() == {layer["name"] for layer in entry["layers"]}
    ranks = [entry["rank"] for entry in workshop.summary()["svd_variants"]]
    taus = [entry["tau"] for entry in workshop.summary()["arsvd_variants"]]
    assert (ranks, taus) == ([1, 2], [0.5, 0.8])


def test_no_artifact_and_no_result_is_a_pickle(workshop: Workshop) -> None:
    stores = [workshop.out, Path(workshop.environment["ZENML_CONFIG_PATH"]) / "local_stores"]
    files = [file for store in stores for file in store.rglob("*") if file.is_file() and file.suffix != ".ckpt"]
    assert len(files) > 30
    assert [file for file in files if file.read_bytes()[:4].startswith(PICKLES)] == []


@pytest.fixture(scope="module")
def again(workshop: Workshop) -> Finished:
    """The same command a second time."""
    return workshop.run()


def test_the_same_command_again_only_reads_the_data_and_compares(workshop: Workshop, again: Finished) -> None:
    assert again.ran == ALWAYS
    workshop.assert_complete(TINY_VARIANTS)


def test_the_training_run_carries_curves_and_files(workshop: Workshop, again: Finished) -> None:
    parents = workshop.recorded()
    assert parents
    for parent in parents:
        epochs = workshop.query("SELECT value FROM params WHERE run_uuid = ? AND key = 'training.epochs'", parent)
        curve = workshop.query("SELECT value FROM metrics WHERE run_uuid = ? AND key = 'valid_dice'", parent)
        assert [(str(len(curve)),)] == epochs
        kept = workshop.root / "mlruns" / "arsvd_comparison" / parent / "artifacts"
        assert {item.name for item in kept.iterdir()} >= {"report.html", "results"}
        assert {item.name for item in (kept / "results").iterdir()} >= {"results.csv", "plots"}


ARTIFACTS = """
import csv
import json
from zenml.client import Client
run = Client().list_pipeline_runs(sort_by="desc:created", size=1).items[0]
comparison = run.steps["compare"].outputs["comparison"][0]
version = run.model_version
result = run.steps["evaluate_svd_rank_1"].outputs["svd_rank_1_result"][0]
network = run.steps["compress_svd_rank_1"].outputs["svd_rank_1_network"][0]
print(json.dumps({
    "shown": [visualization.uri.rpartition("/files/")[2] for visualization in comparison.visualizations],
    "dice": comparison.run_metadata["dice"],
    "result": result.run_metadata["dice"],
    "ranks": network.run_metadata["ranks"],
    "linked": sorted([*version.data_artifacts, *version.model_artifacts]),
    "variants": [entry.name for entry in comparison.load().results],
}))
"""


def test_zenml_shows_the_report_and_links_all_artifacts_of_a_cached_run(workshop: Workshop, again: Finished) -> None:
    found = json.loads(workshop.call("python", "-c", ARTIFACTS).stdout.splitlines()[-1])
    assert found["shown"][:2] == ["report.html", "plots/dice_vs_params.png"]
    assert "plots/masks.png" in found["shown"]
    dice = {name: entry["metrics"]["dice"] for name, entry in workshop.variants().items()}
    assert found["dice"] == pytest.approx(dice)
    assert found["result"] == pytest.approx(dice["svd_rank_1"])
    assert found["ranks"] == {"smallest": 1, "median": 1, "largest": 1}
    assert set(found["variants"]) == TINY_VARIANTS
    networks = {f"{name}_network" for name in TINY_VARIANTS}
    assert set(found["linked"]) >= networks | {"dataset", "train_history", "spectra", "comparison"}


def test_an_edit_in_what_draws_runs_drawing_alone_and_what_was_drawn_before_comes_back_without(
    workshop: Workshop,
) -> None:
    """Undone, or lost, or written over by somebody."""
    edited, lost, written_over = (workshop.out / "plots" / f"{name}.png" for name in ("masks", "training", "spectra"))
    drawn = [file.read_bytes() for file in (edited, lost, written_over)]
    source = workshop.root / "reporting" / "plots" / "masks.py"
    with changed(source, source.read_bytes().replace(b"_ALPHA = 0.5", b"_ALPHA = 0.9")):
        assert workshop.run().ran == ALWAYS | {"draw_pictures"}
    assert edited.read_bytes() != drawn[0]
    lost.unlink()
    written_over.write_bytes(b"of somebody else")
    assert workshop.run().ran == ALWAYS
    assert [file.read_bytes() for file in (edited, lost, written_over)] == drawn


def test_one_tau_more_is_compressed_and_evaluated_and_one_less_leaves_no_stale_network(workshop: Workshop) -> None:
    other = workshop.run("--arsvd_taus", "0.5,0.9")
    assert other.ran == ALWAYS | {"compress_arsvd_tau_0.9", "evaluate_arsvd_tau_0.9"} | SHOWN
    assert "as this run has no such variants: arsvd_tau_0.8" in other.stderr
    workshop.assert_complete(TINY_VARIANTS - {"arsvd_tau_0.8"} | {"arsvd_tau_0.9"})


def test_a_moved_data_folder_runs_nothing_again_and_a_deleted_mlflow_database_is_filled(
    workshop: Workshop, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(workshop.data, elsewhere)
    (workshop.root / "mlflow.db").unlink()
    assert workshop.run("--data_root", str(elsewhere)).ran == ALWAYS
    workshop.assert_complete(TINY_VARIANTS)
    assert [set(children) for children in workshop.recorded().values()] == [TINY_VARIANTS]


def test_a_changed_image_runs_everything_from_ingest(workshop: Workshop) -> None:
    image = next(file for file in sorted((workshop.data / "train").iterdir()) if not file.name.endswith("json"))
    brighter = cv2.imencode(image.suffix, cv2.convertScaleAbs(cv2.imread(str(image)), alpha=1.3, beta=9))[1]
    with changed(image, brighter.tobytes()):
        others = {"compress_svd_rank_2", "compress_arsvd_tau_0.8", "evaluate_svd_rank_2", "evaluate_arsvd_tau_0.8"}
        assert workshop.run("--svd_ranks", "1", "--arsvd_taus", "0.5").ran == ALL - others
    workshop.assert_complete({"baseline", "svd_rank_1", "arsvd_tau_0.5"})


@pytest.mark.slow
def test_a_changed_annotation_runs_everything_from_ingest(workshop: Workshop) -> None:
    file = workshop.data / "train" / "_annotations.coco.json"
    content = json.loads(file.read_text())
    del content["annotations"][0]
    with changed(file, json.dumps(content).encode()):
        assert workshop.run().ran == ALL
    workshop.assert_complete(TINY_VARIANTS)


@pytest.mark.slow  # the digests of all steps are asked file by file in tests/steps/test_stale_sources.py
def test_an_edit_in_the_rank_rules_runs_compression_and_not_training(workshop: Workshop) -> None:
    file = workshop.root / "torch_lowrank" / "ranks" / "rules.py"
    with changed(file, file.read_bytes() + b"\n# edited\n"):
        assert workshop.run().ran == ALWAYS | COMPRESS
    workshop.assert_complete(TINY_VARIANTS)


@pytest.mark.slow
def test_other_epochs_train_again_on_the_same_data(workshop: Workshop) -> None:
    assert workshop.run("--epochs", "2").ran == ALL - {"ingest_coco"}
    workshop.assert_complete(TINY_VARIANTS)


@pytest.mark.slow
def test_no_cache_runs_everything(workshop: Workshop) -> None:
    assert workshop.run("--no_cache").ran == ALL
    workshop.assert_complete(TINY_VARIANTS)


def test_the_runs_are_where_zenml_and_mlflow_look_by_default(workshop: Workshop) -> None:
    listed = workshop.call(*ZENML, "pipeline", "runs", "list", "--output", "json")
    assert listed.status == 0
    assert "comparison" in listed.stdout
    assert (workshop.root / "mlflow.db").is_file()
    assert (workshop.root / "mlruns").is_dir()


def test_the_users_own_stack_stays_active_elsewhere(workshop: Workshop, tmp_path: Path) -> None:
    active = workshop.call(*ZENML, "stack", "get", cwd=tmp_path)
    assert "default" in active.stdout + active.stderr
    assert "arsvd" not in active.stdout + active.stderr


@pytest.mark.slow  # test_privacy.py registers, tests/tracking/test_opened_models.py opens the champion
def test_a_network_is_registered_by_name_and_loads_from_there(workshop: Workshop) -> None:
    done = workshop.run("--register", "tumor", "--register_variant", "svd_rank_2")
    assert "registered svd_rank_2 as models:/tumor@champion, version 1" in done.stdout
    code = (
        "import mlflow, numpy as np; from models.unet import UNet; from torch_lowrank.io import load_network;"
        "mlflow.set_tracking_uri('sqlite:///mlflow.db');"
        "network = load_network(mlflow.artifacts.download_artifacts('models:/tumor@champion'), UNet);"
        "served = mlflow.pyfunc.load_model('models:/tumor@champion');"
        "print(*served.predict(np.zeros((2, 40, 50, 1), np.uint8)).shape);"
        "print(sum(weight.numel() for weight in network.parameters()))"
    )
    *_, shape, params = workshop.call("python", "-c", code).stdout.splitlines()
    assert shape == "2 1 40 50"
    assert int(params) == workshop.variants()["svd_rank_2"]["info"]["params"]


def test_a_variant_that_is_not_in_the_sweep_is_told_before_any_work(workshop: Workshop) -> None:
    failed = workshop.run("--register", "tumor", "--register_variant", "svd_rank_77", check=False)
    assert failed.status == 2
    assert failed.stderr.splitlines()[-1].startswith(
        "error: --register_variant svd_rank_77: there is no such variant; there are baseline"
    )
    assert failed.ran == set()


@pytest.mark.slow  # tests/pipelines/test_layouts.py: patients from the data to the report
def test_where_patients_are_known_all_that_is_said_is_over_them(workshop: Workshop) -> None:
    """The data are the same but for the patients: training makes the same network, and compression is known."""
    done = workshop.run("--group_by", "slice_([0-9]+)")
    assert done.ran == ALWAYS | {"ingest_coco", "train_unet", "draw_pictures"} | EVALUATE
    assert "6 patients have images in more than one split" in done.stderr + done.stdout
    summary = json.loads((workshop.out / "experiment_summary.json").read_text())
    assert (summary["intervals_over"], summary["test_patients"]) == ("patients", 6)
    assert 0 <= summary["baseline"]["metrics"]["dice_patient"] <= 1
    with (workshop.out / "per_image.csv").open() as file:
        assert {row["group"] for row in csv.DictReader(file)} == {f"{number:05}" for number in range(6)}
    assert "of 6 patients" in (workshop.out / "report.html").read_text()
    workshop.assert_complete(TINY_VARIANTS)
