"""Damage in the artifact store: found by digest, made again, never used."""

import shutil
from pathlib import Path

import pytest

from tests.pipelines.workshop import TINY_VARIANTS, Workshop

pytestmark = pytest.mark.pipeline
ALWAYS = {"fingerprint_dataset", "compare"}


def stored(workshop: Workshop, pattern: str) -> Path:
    """The newest file of an artifact."""
    stores = Path(workshop.environment["ZENML_CONFIG_PATH"], "local_stores")
    return max(stores.glob(f"*/*/{pattern}"), key=lambda file: file.stat().st_mtime_ns)


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("pattern", "artifact", "again"),
    [
        ("dataset/*/*/arrays/train_images.npy", "dataset", {"ingest_coco"}),
        (
            "baseline_network/*/*/network/weights.safetensors",
            "baseline_network",
            {"train_unet", "draw_pictures"},
        ),  # its history has other seconds
        ("spectra/*/*/content/spectra.safetensors", "spectra", {"decompose"}),
        ("svd_rank_1_network/*/*/network/network.json", "svd_rank_1_network", {"compress_svd_rank_1"}),
        (
            "arsvd_tau_0.5_result/*/*/content/record.json",
            "arsvd_tau_0.5_result",
            {"evaluate_arsvd_tau_0.5", "draw_pictures"},
        ),  # another latency
        ("pictures/*/*/content/masks.png", "pictures", {"draw_pictures"}),
    ],
)
def test_a_changed_bit_makes_its_step_run_again(
    workshop: Workshop, pattern: str, artifact: str, again: set[str]
) -> None:
    before = workshop.variants()["svd_rank_1"]["metrics"]
    flip_a_bit(stored(workshop, pattern))
    done = workshop.run()
    assert f"damaged in the store, and made again: {artifact}" in done.stderr
    assert done.ran == ALWAYS | again
    assert workshop.variants()["svd_rank_1"]["metrics"] == before
    workshop.assert_complete(TINY_VARIANTS)
    assert workshop.run().ran == ALWAYS


def test_a_store_that_was_emptied_is_filled_again(workshop: Workshop) -> None:
    stores = Path(workshop.environment["ZENML_CONFIG_PATH"], "local_stores")
    for store in stores.iterdir():
        if store.name != "default_zen_store":
            shutil.rmtree(store)
    done = workshop.run()
    assert {"ingest_coco", "train_unet", "decompose", "evaluate_baseline"} <= done.ran
    workshop.assert_complete(TINY_VARIANTS)
    assert workshop.run().ran == ALWAYS


def test_a_damaged_network_is_not_reused(workshop: Workshop) -> None:
    file = stored(workshop, "baseline_network/*/*/network/weights.safetensors")
    flip_a_bit(file)
    failed = workshop.run("--reuse_training", "--no_cache", check=False)
    assert failed.status == 1
    assert "weights.safetensors has changed since it was stored" in failed.stderr
    assert "without --reuse_training" in failed.stderr
    flip_a_bit(file)
    assert workshop.run("--reuse_training").status == 0
