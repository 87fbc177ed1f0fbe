"""The step that trains a U-Net that a wider one teaches, through its entry point."""

import contextlib
import copy
from pathlib import Path

import pytest
import torch

from configs.sections import InputConfig, ModelConfig, TrainingConfig
from dataset.store import Dataset
from models.preprocessing import Preprocessing
from models.training import losses
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE
from steps.runtime import Runtime
from steps.train_distilled import train_distilled
from steps.train_unet import train_unet

MODEL, INPUTS = ModelConfig(base_filters=2, dropout=0), InputConfig(mean=0.2, std=0.3)
RECIPE = TrainingConfig(epochs=2, batch_size=4, lr=1e-3, augment="flips")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the checkpoints are."""
    now = Runtime(data_root="", out_dir=str(tmp_path), num_workers=0, resume=True, command="", process="")
    monkeypatch.setattr("steps.runtime.current", lambda: now)
    monkeypatch.setattr("steps.runtime.watched", lambda artifact: contextlib.nullcontext())
    return tmp_path / "checkpoints"


def wider(seed: int) -> Variant:
    torch.manual_seed(seed)
    return Variant(BASELINE, UNet(1, 1, 4).eval(), Preprocessing(0.2, 0.3, 1, (32, 32)), 1)


def taught(dataset: Dataset, teacher: Variant, share: float, **recipe: object) -> tuple[Variant, dict]:
    training = RECIPE.model_copy(update=recipe)
    return train_distilled.entrypoint(dataset, teacher, share, MODEL, training, INPUTS, 3, "cpu")


def weights(variant: Variant) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in variant.network.parameters()])


@pytest.mark.usefixtures("folder")
def test_it_is_the_training_without_a_teacher_but_for_the_loss(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher that has no say changes nothing: first weights, order, augmentation and input are the same."""
    alone, history = train_unet.entrypoint(dataset, MODEL, RECIPE, INPUTS, 3, "cpu")
    teacher, share = wider(1), 0.5
    before = teacher.digest()
    really, _ = taught(dataset, teacher, share)
    assert not torch.equal(weights(really), weights(alone))
    assert teacher.digest() == before, "it is not trained"
    monkeypatch.setattr(losses.Distillation, "__call__", lambda _, task_loss, *__: task_loss)
    same, same_history = taught(dataset, wider(2), share)
    assert torch.equal(weights(same), weights(alone))
    assert same.preprocessing == alone.preprocessing
    assert [epoch["valid_dice"] for epoch in same_history["epochs"]] == [e["valid_dice"] for e in history["epochs"]]
    assert same.spec == BASELINE, "it can be the main network of another comparison"


@pytest.mark.usefixtures("folder")
def test_a_network_that_only_listens_comes_closer_to_its_teacher_than_one_that_sees_masks(dataset: Dataset) -> None:
    teacher = wider(1)
    images = teacher.preprocessing(torch.from_numpy(dataset["valid"].images.copy()))

    def distance(student: Variant) -> float:
        with torch.no_grad():
            return float(losses.soft_cross_entropy(student.network.eval()(images), teacher.network(images)))

    recipe = {"epochs": 8, "lr": 1e-2, "schedule": "constant", "augment": "none"}
    alone = train_unet.entrypoint(dataset, MODEL, RECIPE.model_copy(update=recipe), INPUTS, 3, "cpu")[0]
    assert distance(taught(dataset, teacher, 1.0, **recipe)[0]) < distance(alone)


def test_each_teacher_and_share_has_a_checkpoint_of_its_own_and_none_is_that_of_a_training_without(
    dataset: Dataset, folder: Path
) -> None:
    train_unet.entrypoint(dataset, MODEL, RECIPE, INPUTS, 3, "cpu")
    trained = [
        taught(dataset, teacher, share)[0] for teacher, share in ((wider(1), 0.5), (wider(2), 0.5), (wider(1), 1))
    ]
    assert len([*folder.iterdir()]) == 4
    assert len({weights(each).sum().item() for each in trained}) == 3


def test_a_training_that_was_cut_off_goes_on_and_ends_as_one_that_was_not(
    dataset: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = taught(dataset, wider(1), 0.5)
    for file in folder.rglob("*"):
        file.unlink(missing_ok=True) if file.is_file() else None
    called = losses.Distillation.__call__
    left = iter(range(3))  # three steps an epoch, cut off in the second one

    def killed(self: losses.Distillation, *inputs: torch.Tensor) -> torch.Tensor:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return called(self, *inputs)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(losses.Distillation, "__call__", killed)
        taught(dataset, wider(1), 0.5)
    assert [file.name for file in folder.rglob("*.ckpt")] == ["last.ckpt"]
    resumed, history = taught(dataset, copy.deepcopy(wider(1)), 0.5)
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1, 2]
    assert torch.allclose(weights(resumed), weights(whole), atol=1e-6)
