"""Damage in the artifact store: found by digest, made again, never used."""

import re
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


# Artifact: its file, and the steps that run. What is made again is the same, but for measured times.
DAMAGED = {
    "dataset": ("dataset/*/*/arrays/train_images.npy", {"ingest_coco"}),
    "baseline_network": ("baseline_network/*/*/network/weights.safetensors", {"train_unet", "draw_pictures"}),
    "spectra": ("spectra/*/*/content/spectra.safetensors", {"decompose"}),
    "svd_rank_1_network": ("svd_rank_1_network/*/*/network/network.json", {"compress_svd_rank_1"}),
    "arsvd_tau_0.5_result": ("arsvd_tau_0.5_result/*/*/content/record.json", {"evaluate_arsvd_tau_0.5"}),
    "latencies": ("latencies/*/*/content/record.json", {"time_networks", "draw_pictures"}),
    "pictures": ("pictures/*/*/content/masks.png", {"draw_pictures"}),
}


def test_everything_that_is_damaged_is_made_again_in_one_run(workshop: Workshop) -> None:
    before = {name: entry["metrics"] for name, entry in workshop.variants().items()}
    for pattern, _ in DAMAGED.values():
        flip_a_bit(stored(workshop, pattern))
    done = workshop.run()
    told = [line for line in done.stderr.splitlines() if line.startswith("damaged in the store, and made again: ")]
    assert {name for line in told for name in line.partition(": ")[2].split(", ")} == set(DAMAGED)
    finished = {line.split()[0] for line in done.stderr.splitlines() if re.fullmatch(r"\w[\w.]+ +[\d.]+m?s", line)}
    assert finished == ALWAYS.union(*(steps for _, steps in DAMAGED.values()))
    assert {name: entry["metrics"] for name, entry in workshop.variants().items()} == before
    workshop.assert_complete(TINY_VARIANTS)
    assert workshop.run().ran == ALWAYS


@pytest.mark.slow
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
    flip_a_bit(stored(workshop, "baseline_network/*/*/network/weights.safetensors"))
    failed = workshop.run("--reuse_training", "--no_cache", check=False)
    assert failed.status == 1
    assert "weights.safetensors has changed since it was stored" in failed.stderr
    assert "without --reuse_training" in failed.stderr
