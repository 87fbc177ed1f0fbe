"""Distillation: the loss is the one that was asked for, and the teacher teaches and does nothing else."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import nn

from models.training.augmentation import augment
from models.training.checkpoints import LAST_CHECKPOINT
from models.training.losses import Distillation, soft_cross_entropy
from models.training.module import SegmentationModule
from models.unet import UNet
from tests.models.training.small_training import OPTIONS, same_weights, train, without_seconds

pytestmark = pytest.mark.usefixtures("one_thread")

HALF = dataclasses.replace(OPTIONS, distillation=0.5, epochs=2)


@pytest.fixture
def teacher():
    torch.manual_seed(1)
    return UNet(1, 1, 4, dropout=0.2).eval()


def test_with_one_class_it_is_the_cross_entropy_of_sigmoids():
    # p = 1/2, q = 1/2: log 2. p = 3/4, q = 1/4: 3/4 log 4 + 1/4 log 4/3.
    logits, target = torch.tensor([0.0, -1.0986123]), torch.tensor([0.0, 1.0986123])
    loss = soft_cross_entropy(logits.view(2, 1, 1, 1), target.view(2, 1, 1, 1))
    assert float(loss) == pytest.approx((0.6931472 + 0.75 * 1.3862944 + 0.25 * 0.2876821) / 2, abs=1e-6)


def test_with_several_classes_it_is_the_cross_entropy_of_softmaxes():
    # p = (1/2, 1/4, 1/4), q uniform: log 3. p uniform, q = (1/2, 1/4, 1/4): (log 2 + 2 log 4) / 3.
    skewed, uniform = torch.tensor([0.6931472, 0, 0]), torch.zeros(3)
    logits, target = torch.stack([uniform, skewed]), torch.stack([skewed, uniform])
    loss = soft_cross_entropy(logits.view(2, 3, 1, 1), target.view(2, 3, 1, 1))
    assert float(loss) == pytest.approx((1.0986123 + (0.6931472 + 2 * 1.3862944) / 3) / 2, abs=1e-6)


@pytest.mark.parametrize("classes", [1, 3])
def test_no_logits_are_better_than_the_teachers_own(classes):
    torch.manual_seed(0)
    target = torch.randn(2, classes, 4, 4)
    logits = target.clone().requires_grad_()
    soft_cross_entropy(logits, target).backward()
    assert float(logits.grad.abs().max()) < 1e-7
    assert soft_cross_entropy(logits + torch.randn_like(target), target) > soft_cross_entropy(logits, target)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 5.0), (0.25, 0.75 * 5 + 0.25 * 0.6931472), (1.0, 0.6931472)])
def test_the_share_weighs_masks_against_teacher(share, expected):
    loss = Distillation(nn.Identity(), share)(torch.tensor(5.0), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
    assert float(loss) == pytest.approx(expected, abs=1e-6)


def test_a_teacher_of_other_classes_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 1, 4, 4\) and the network's \(2, 3, 4, 4\)"):
        Distillation(nn.Identity(), 0.5)(torch.tensor(1.0), torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4))


def test_teacher_and_network_see_the_same_augmented_images(tmp_path, teacher, monkeypatch):
    augmented, shown = [], []

    def remembering(*arguments):
        images, masks = augment(*arguments)
        augmented.append(images.clone())
        return images, masks

    def watch(module, inputs):
        shown.append(inputs[0].clone())
        assert not module.training
        assert not torch.is_grad_enabled()

    monkeypatch.setattr("models.training.module.augment", remembering)
    handle = teacher.register_forward_pre_hook(watch)
    train(tmp_path, HALF, teacher=teacher)
    handle.remove()
    assert len(shown) == len(augmented) == 4, "it is asked in training alone"
    assert all(torch.equal(one, other) for one, other in zip(shown, augmented, strict=True))


def test_the_teacher_comes_back_as_it_was(tmp_path, teacher):
    teacher.train()
    teacher.down1.eval()
    modes, before = {module: module.training for module in teacher.modules()}, copy.deepcopy(teacher)
    train(tmp_path, HALF, teacher=teacher)
    assert {module: module.training for module in teacher.modules()} == modes
    assert same_weights(teacher, before)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in teacher.parameters())


def test_a_student_of_the_teacher_alone_comes_closer_to_it(tmp_path, teacher):
    options = dataclasses.replace(OPTIONS, distillation=1, epochs=6, augment="none")
    network, result = train(tmp_path, options, teacher=teacher)
    losses = [record.train_loss for record in result.epochs]
    assert losses[-1] < losses[0]
    assert not same_weights(network, train(tmp_path / "alone", dataclasses.replace(options, distillation=0))[0])


def test_the_teachers_weights_are_in_no_checkpoint(tmp_path, teacher):
    train(tmp_path / "alone", dataclasses.replace(HALF, distillation=0))
    train(tmp_path / "taught", HALF, teacher=teacher)
    alone, taught = (torch.load(tmp_path / name / LAST_CHECKPOINT, weights_only=True) for name in ("alone", "taught"))
    assert alone["state_dict"].keys() == taught["state_dict"].keys()
    sizes = [(tmp_path / name / LAST_CHECKPOINT).stat().st_size for name in ("alone", "taught")]
    assert abs(sizes[0] - sizes[1]) < 1000


@pytest.mark.parametrize(
    ("distillation", "given", "said"),
    [
        (0.5, None, "distillation is 0.5 and there is no teacher"),
        (0, UNet(1, 1, 2), "there is a teacher and distillation is 0"),
    ],
)
def test_teacher_and_distillation_go_together(tmp_path, distillation, given, said):
    with pytest.raises(ValueError, match=said):
        train(tmp_path, dataclasses.replace(OPTIONS, distillation=distillation), teacher=given)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_distillation_goes_on_as_if_nothing_had_happened(tmp_path, teacher, monkeypatch):
    options = dataclasses.replace(HALF, epochs=4)
    whole, expected = train(tmp_path / "whole", options, teacher=teacher)
    original = SegmentationModule.training_step

    def interrupt(self, batch, batch_idx):
        if self.current_epoch == 2 and batch_idx == 1:
            raise KeyboardInterrupt
        return original(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", options, teacher=teacher)
    monkeypatch.undo()
    network, result = train(tmp_path / "parts", options, teacher=teacher)
    assert without_seconds(result) == without_seconds(expected)
    assert same_weights(network, whole)
