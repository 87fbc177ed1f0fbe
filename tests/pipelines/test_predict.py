"""Runs with `--predict`: masks of images by a network that a run has made."""

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dataset.ingest import ingest
from models.evaluation.evaluate import evaluate_variant
from models.networks.recipe import Recipe
from models.preprocessing import Preprocessing
from models.variant import Variant
from models.variant_spec import BASELINE
from tests.dataset.coco_folder import options
from tests.dataset.layouts.written import write
from tests.pipelines.test_named_network import BESIDE, SOURCE
from tests.pipelines.workshop import Finished, Workshop

pytestmark = pytest.mark.pipeline

VARIANT = "svd_rank_2"
ALWAYS = {"fingerprint_images", "fingerprint_network", "write_predictions"}


def predict(
    workshop: Workshop, scans: Path, network: Path | str, out: Path, *more: str, check: bool = True
) -> Finished:
    arguments = ("--predict", str(scans), "--model", str(network), "--out_dir", str(out), *more)
    return workshop.run(*arguments, tiny=False, check=check)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as stream:
        return list(csv.DictReader(stream))


def test_masks_are_those_of_the_evaluation_and_predicted_again_only_where_content_changes(
    workshop: Workshop, tmp_path: Path
) -> None:
    scans, out, network = tmp_path / "scans", tmp_path / "out", tmp_path / "network"
    test = ingest(workshop.data, tmp_path / "arrays", options((32, 32)))["test"]
    for name, image in zip(test.file_names, test.images, strict=True):
        write(scans / "deep" / name, image)
    variant = Variant.load(workshop.out / "networks" / VARIANT)
    with torch.inference_mode():  # one epoch of training finds nothing: it shall find a half
        logits = variant.network(variant.preprocessing(test.images))
        variant.network.outc.conv.bias.sub_(logits.median())
    variant.save(network)
    evaluated = evaluate_variant(variant, test.images, test.masks, 8, "cpu").per_image["dice"]
    done = predict(workshop, scans, network, out)
    assert done.ran == ALWAYS | {"predict_images"}
    assert done.stderr.startswith(f"predict: 6 images in {scans}; network: {network}; results: {out}\n{VARIANT}: ")
    assert "it sees images as 32x32, gray, resized by area" in done.stderr
    assert done.stdout.splitlines()[0].split() == ["images", "6"]
    assert str(out / "predictions.csv") in done.stdout
    table = rows(out / "predictions.csv")
    assert [row["file_name"] for row in table] == sorted(f"deep/{name}" for name in test.file_names)
    for name, truth, expected in zip(test.file_names, test.masks, evaluated, strict=True):
        mask = cv2.imread(str(out / "masks" / "deep" / name), cv2.IMREAD_UNCHANGED)
        assert {*np.unique(mask)} <= {0, 255}
        both = np.count_nonzero(mask) + np.count_nonzero(truth)
        dice = 2 * np.count_nonzero((mask > 0) & (truth > 0)) / both if both else 1.0
        assert dice == pytest.approx(expected, abs=1e-9)
        (row,) = (row for row in table if row["file_name"] == f"deep/{name}")
        assert int(row["area_px"]) == np.count_nonzero(mask) > 0
    recorded = workshop.query("SELECT COUNT(*) FROM runs")

    moved = [shutil.copytree(place, tmp_path / "moved" / place.name) for place in (scans, network)]
    again = predict(workshop, *moved, tmp_path / "other")
    assert again.ran == ALWAYS
    assert (tmp_path / "other" / "predictions.csv").read_bytes() == (out / "predictions.csv").read_bytes()

    first = scans / "deep" / test.file_names[0]
    write(first, 255 - test.images[0])
    assert predict(workshop, scans, network, out).ran == ALWAYS | {"predict_images"}
    changed = {new["file_name"] for new, old in zip(rows(out / "predictions.csv"), table, strict=True) if new != old}
    assert changed == {f"deep/{first.name}"}
    assert workshop.query("SELECT COUNT(*) FROM runs") == recorded, "a prediction is no run in MLflow"
    (first).write_bytes(b"no image")
    failed = predict(workshop, scans, network, out, check=False)
    assert (failed.status, "--skip_bad_samples" in failed.stderr) == (2, True)
    assert len(rows(out / "predictions.csv")) == 6, "what was there stays"


@pytest.mark.slow
def test_a_network_comes_from_mlflow_or_from_code_that_was_allowed(workshop: Workshop, tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    for name, side in (("a.png", 50), ("b.tif", 32)):
        write(scans / name, np.random.default_rng(side).integers(0, 256, (side, side), dtype=np.uint8))
    assert predict(workshop, scans, workshop.out / "networks" / VARIANT, out).status == 0
    workshop.run("--register", "tumor", "--register_variant", VARIANT)
    for uri in ("models:/tumor@champion", "models:/tumor/1"):
        assert predict(workshop, scans, uri, out).ran == ALWAYS, "the content is the same"
    for uri in ("models:/tumor@nobody", "models:/none/1", "runs:/none/network"):
        failed = predict(workshop, scans, uri, out, check=False)
        assert failed.status == 2
        assert failed.stderr.splitlines()[-1].startswith("error: MLflow at ")
        assert f"does not give {uri} (" in failed.stderr

    file, beside = tmp_path / "small_net.py", tmp_path / "blocks_beside.py"
    file.write_text(SOURCE)
    beside.write_text(BESIDE)
    torch.manual_seed(0)
    recipe = Recipe(f"{file}:Small", {"in_channels": 1, "classes": 1})
    Variant(BASELINE, recipe.build(), Preprocessing(0.5, 0.2), 1, recipe=recipe).save(tmp_path / "named")
    refused = predict(workshop, scans, tmp_path / "named", out, "--image_size", "32", "32", check=False)
    assert (refused.status, "nothing of that was imported or run" in refused.stderr) == (2, True)
    allowed = ("--network", f"{file}:Small")
    silent = predict(workshop, scans, tmp_path / "named", out, *allowed, check=False)
    assert (silent.status, "give it, as --image_size" in silent.stderr) == (2, True)
    allowed += ("--image_size", "32", "32")
    assert "predict_images" in predict(workshop, scans, tmp_path / "named", out, *allowed).ran
    assert predict(workshop, scans, tmp_path / "named", out, *allowed).ran == ALWAYS
    beside.write_text(BESIDE.replace("2 * x", "-2 * x"))
    assert "predict_images" in predict(workshop, scans, tmp_path / "named", out, *allowed).ran
