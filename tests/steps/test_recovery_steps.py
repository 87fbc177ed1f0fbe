"""The steps after compression through their entry point: recalibrate, finetune, evaluate."""

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.schema import FinetuneConfig
from configs.sections import TrainingConfig
from dataset.ingest import IngestOptions, ingest
from dataset.phantoms.write_phantoms import write_phantoms
from dataset.store import Dataset
from models.evaluation.results import EvaluationResult
from models.preprocessing import Preprocessing
from models.training.module import SegmentationModule
from models.unet import UNet
from models.variant import Variant, VariantError
from models.variant_spec import BASELINE, VariantSpec
from steps.evaluate import evaluate
from steps.finetune import finetune
from steps.recalibrate import recalibrate
from steps.runtime import Runtime
from torch_lowrank.recalibration import recalibrate as recalibrate_network

PLAIN = Preprocessing(0.18, 0.18)
TRAINING = TrainingConfig(batch_size=4, augment="none", loss="bce")


@pytest.fixture
def variant() -> Variant:
    torch.manual_seed(0)
    return Variant(VariantSpec("svd", rank=1), UNet(1, 1, 2), PLAIN, 1)


@pytest.fixture
def teacher() -> Variant:
    torch.manual_seed(1)
    return Variant(BASELINE, UNet(1, 1, 4).eval(), PLAIN, 1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where steps that run here write."""
    now = Runtime(data_root="", out_dir=str(tmp_path), num_workers=0, resume=True, command="", process="")
    monkeypatch.setattr("steps.runtime.current", lambda: now)
    return tmp_path


def tuned(
    variant: Variant, dataset: Dataset, dense: Variant, tuning: FinetuneConfig, seed: int = 3
) -> tuple[Variant, dict]:
    return finetune.entrypoint(copy.deepcopy(variant), dataset, dense, TRAINING, tuning, seed, "cpu")


def test_recalibration_uses_and_notes_as_many_training_images_as_asked_for(dataset: Dataset, variant: Variant) -> None:
    expected = copy.deepcopy(variant.network)
    chosen = np.sort(np.random.default_rng(7).choice(9, 5, replace=False))
    images = dataset["train"].images[chosen]
    recalibrate_network(expected, [PLAIN(images[:3]), PLAIN(images[3:])], device="cpu")
    result = recalibrate.entrypoint(variant, dataset, 5, 4, 7, "cpu")
    assert result.spec == VariantSpec("svd", rank=1, recalibrated=5)
    assert all(torch.equal(a, b) for a, b in zip(expected.buffers(), result.network.buffers(), strict=True))


def test_recalibration_depends_on_the_seed_alone(dataset: Dataset, variant: Variant) -> None:
    digests = [
        recalibrate.entrypoint(copy.deepcopy(variant), dataset, 5, 4, seed, "cpu").digest() for seed in (7, 7, 8)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_recalibration_takes_all_images_where_there_are_fewer(dataset: Dataset, variant: Variant) -> None:
    assert recalibrate.entrypoint(variant, dataset, 256, 4, 7, "cpu").spec.recalibrated == 9


def test_recalibration_refuses_data_of_other_channels(dataset: Dataset, variant: Variant) -> None:
    colour = Variant(variant.spec, UNet(3, 1, 2), PLAIN, 1)
    with pytest.raises(VariantError, match="--channels 3"):
        recalibrate.entrypoint(colour, dataset, 5, 4, 7, "cpu")


@pytest.fixture
def each_epoch_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes validation Dice grow with the epoch, so that the last one is kept."""
    measured = SegmentationModule.epoch_means

    def growing(module: SegmentationModule) -> dict[str, float]:
        trained = 0 if module.trainer.sanity_checking else module.current_epoch + 1
        return measured(module) | {"valid_dice_lesion": trained / 100}

    monkeypatch.setattr(SegmentationModule, "epoch_means", growing)


@pytest.mark.usefixtures("folder", "each_epoch_is_better")
def test_fine_tuning_gives_network_and_history_and_notes_how(
    dataset: Dataset, variant: Variant, teacher: Variant
) -> None:
    result, history = tuned(variant, dataset, teacher, FinetuneConfig(epochs=2, lr=1e-3))
    notes = {"finetune_epochs": 2, "finetune_lr": 1e-3, "finetune_distillation": 0}
    assert result.spec == VariantSpec("svd", rank=1, **notes)
    assert [epoch["epoch"] for epoch in history["epochs"]] == [0, 1, 2]
    assert result.digest() != variant.with_spec(**notes).digest(), "the weights are others"


@pytest.mark.usefixtures("folder")
def test_small_networks_are_trained_faster_and_those_in_few_bits_are_not(dataset: Dataset, variant: Variant) -> None:
    dense = Variant(BASELINE, UNet(1, 1, 10), PLAIN, 1)  # of which the variant has a twenty-fifth
    expected = 1e-3 * 0.125 * dense.params / variant.params
    assert 2e-3 < expected < 4e-3
    tuning = FinetuneConfig(epochs=1, lr=1e-3)
    result, history = tuned(variant, dataset, dense, tuning)
    assert result.spec.finetune_lr == pytest.approx(expected)
    rounded = dataclasses.replace(variant, spec=VariantSpec("size", size=0.1))
    slow, other = tuned(rounded, dataset, dense, tuning)
    assert slow.spec.finetune_lr == 1e-3
    assert other["epochs"][1]["train_loss"] != history["epochs"][1]["train_loss"], "it is what they are trained with"


@pytest.mark.usefixtures("folder")
def test_fine_tuning_that_makes_a_network_worse_leaves_it_as_it_was(
    dataset: Dataset, variant: Variant, teacher: Variant
) -> None:
    tuning = FinetuneConfig(epochs=1, lr=100)
    result, history = tuned(variant, dataset, teacher, tuning)
    assert history["best_epoch"] == 0
    assert history["epochs"][1]["valid_loss"] > history["epochs"][0]["valid_loss"]
    before = variant.network.state_dict()
    assert all(torch.equal(value, before[key]) for key, value in result.network.state_dict().items())


@pytest.mark.usefixtures("each_epoch_is_better")
def test_a_teacher_makes_another_training_with_a_checkpoint_of_its_own(
    dataset: Dataset, variant: Variant, teacher: Variant, folder: Path
) -> None:
    before = teacher.digest()
    alone = tuned(variant, dataset, teacher, FinetuneConfig(epochs=1, lr=1e-3))[0]
    taught = tuned(variant, dataset, teacher, FinetuneConfig(epochs=1, lr=1e-3, distillation=0.5))[0]
    other = Variant(teacher.spec, UNet(1, 1, 2).eval(), PLAIN, 1)
    again = tuned(variant, dataset, other, FinetuneConfig(epochs=1, lr=1e-3, distillation=0.5))[0]
    weights = [torch.cat([p.flatten() for p in each.network.parameters()]) for each in (alone, taught, again)]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    assert teacher.digest() == before
    assert len(list((folder / "checkpoints").iterdir())) == 3


def test_evaluation_tells_what_a_recovered_network_was_before(
    dataset: Dataset, variant: Variant, teacher: Variant, folder: Path
) -> None:
    of_teacher, _ = evaluate.entrypoint(teacher, None, dataset, 4, "cpu")
    result, _ = evaluate.entrypoint(variant, teacher, dataset, 4, "cpu")
    before = {f"{name}_before_recovery": of_teacher.metrics[name] for name in ("dice", "dice_lesion", "iou")}
    assert result.metrics == {**evaluate.entrypoint(variant, None, dataset, 4, "cpu")[0].metrics, **before}
    assert not before.keys() & of_teacher.metrics.keys()
    assert result.cost.params == variant.params


def test_evaluation_knows_the_patients_of_the_data(teacher: Variant, folder: Path, tmp_path: Path) -> None:
    write_phantoms(tmp_path / "coco", 1, {"train": 4, "valid": 4, "test": 6}, 64)
    options = IngestOptions((32, 32), 1, False, False, 1, group_by="slice_0000([0-9])")
    for file in (tmp_path / "coco").rglob("*.json"):  # two images a patient
        content = json.loads(file.read_bytes())
        for number, image in enumerate(content["images"]):
            other = f"slice_0000{number // 2}_{number}.png"
            (file.parent / image["file_name"]).rename(file.parent / other)
            image["file_name"] = other
        file.write_text(json.dumps(content))
    data = ingest(tmp_path / "coco", tmp_path / "stored", options)
    result, _ = evaluate.entrypoint(teacher, None, data, 4, "cpu")
    assert (result.groups, result.valid_groups) == (list("001122"), list("0011"))
    assert result.group_noun == "patient"
    volumes = Dataset(data.folder, dataclasses.replace(data.manifest, group_noun="volume"))
    assert evaluate.entrypoint(teacher, None, volumes, 4, "cpu")[0].group_noun == "volume"
    overlap, sizes = (np.array(result.per_image[name]) for name in ("overlap_px", "lesion_px"))
    sizes = sizes + result.per_image["predicted_px"]
    expected = {str(k): 2 * overlap[2 * k : 2 * k + 2].sum() / sizes[2 * k : 2 * k + 2].sum() for k in range(3)}
    assert result.per_group == pytest.approx(expected)
    assert result.metrics["dice_patient"] == pytest.approx(np.mean(list(expected.values())))
    assert EvaluationResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_evaluation_of_data_without_patients_has_none(teacher: Variant, folder: Path, dataset: Dataset) -> None:
    result, _ = evaluate.entrypoint(teacher, None, dataset, 4, "cpu")
    assert (result.groups, result.valid_groups, result.per_group) == ([], [], {})
    assert "dice_patient" not in result.metrics


def test_evaluation_of_several_classes_has_each_by_name(folder: Path, tmp_path: Path) -> None:
    write_phantoms(tmp_path / "coco", 1, {"train": 4, "valid": 3, "test": 3}, 32)
    for file in (tmp_path / "coco").rglob("*.json"):
        content = json.loads(file.read_bytes())
        content["categories"].append({"id": 2, "name": "edema"})
        for annotation in content["annotations"][::2]:
            annotation["category_id"] = 2
        file.write_text(json.dumps(content))
    options = IngestOptions((32, 32), channels=1, multi_class=True, skip_bad_samples=False, num_workers=1)
    data = ingest(tmp_path / "coco", tmp_path / "stored", options)
    torch.manual_seed(0)
    network = Variant(BASELINE, UNet(1, data.classes, 2).eval(), PLAIN, data.classes)
    result, _ = evaluate.entrypoint(network, None, data, 2, "cpu")
    assert list(result.classes) == ["lesion", "edema"]
    for values in (result.per_image, result.valid_per_image):
        assert [len(values[f"classes/dice_{name}"]) for name in result.classes] == [3, 3]
    assert result.valid.keys() >= {"dice", "dice_lesion"}
