"""The loss of training: against masks and, with a teacher, also against its predictions (distillation).

Hinton et al. 2015 (arXiv 1503.02531), at temperature 1: loss = (1 - share) * task loss + share * cross entropy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.training.options import Loss
from torch_lowrank.modes import evaluation_mode


class Distillation:
    """Adds the loss against a teacher to the loss against masks.

    Not a module, so that the teacher is neither trained nor part of a checkpoint.

    Args:
        teacher: Maps the student's input to logits of the same shape; in evaluation mode, see `teacher_ready`.
        share: Weight of the loss against the teacher, in [0, 1]; the loss against masks has weight 1 - share.
    """

    def __init__(self, teacher: nn.Module, share: float) -> None:
        self.teacher = teacher
        self.share = share

    def __call__(self, task_loss: Tensor, logits: Tensor, images: Tensor) -> Tensor:
        """Returns the weighted sum of both losses, a scalar.

        Args:
            task_loss: The student's loss against the masks.
            logits: The student's logits, float32 (N, classes, H, W).
            images: The student's input, (N, C, H, W).

        Raises:
            ValueError: The teacher's logits have another shape.
        """
        with torch.no_grad():
            target = self.teacher(images).float()
        if target.shape != logits.shape:
            raise ValueError(
                f"the teacher's logits have shape {tuple(target.shape)} and the network's {tuple(logits.shape)}; "
                "give a teacher for the same classes"
            )
        return (1 - self.share) * task_loss + self.share * soft_cross_entropy(logits, target)


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Returns the cross entropy of logits (N, classes, H, W) against those of a teacher, mean over pixels.

    With q the probabilities of `logits` and p those of `target`: for one class -p log q - (1 - p) log (1 - q) of
    sigmoids, for several the sum of -p log q of softmaxes.
    """
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits, target.sigmoid())
    return F.cross_entropy(logits, target.softmax(1))


def check_teacher(network: nn.Module, teacher: nn.Module | None, share: float) -> None:
    """Checks that there is a teacher if, and only if, there is distillation.

    Raises:
        ValueError: There is none, there is one without distillation, or it is the trained network itself.
    """
    if share > 0 and teacher is None:
        raise ValueError(f"distillation is {share} and there is no teacher; give one, or distillation 0")
    if share == 0 and teacher is not None:
        raise ValueError("there is a teacher and distillation is 0; give no teacher, or a distillation of up to 1")
    if teacher is network:
        raise ValueError("the teacher is the network that is trained; give another, or a copy")


@contextlib.contextmanager
def teacher_ready(teacher: nn.Module | None, device: str | torch.device) -> Iterator[None]:
    """Puts a teacher, if there is one, on a device and in evaluation mode; afterwards restores its modes and device."""
    with contextlib.nullcontext() if teacher is None else evaluation_mode(teacher, device):
        yield


class _Loss(nn.Module):
    """A loss of logits (N, classes, H, W) against labels (N, H, W), passed on in the shapes that `loss` expects."""

    def __init__(self, loss: nn.Module, classes: int, channel: bool) -> None:
        super().__init__()
        self.loss = loss
        self.binary = classes == 1
        self.channel = channel

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Returns the loss, a scalar."""
        target = masks.unsqueeze(1) if self.binary or self.channel else masks
        return self.loss(logits, target.to(logits.dtype) if self.binary else target)


def build_loss(name: Loss, classes: int) -> nn.Module:
    """Builds the loss of logits (N, classes, H, W) against labels int64 (N, H, W).

    Raises:
        ImportError: `dice_ce` without MONAI.
    """
    if name == "bce":
        return _Loss(nn.BCEWithLogitsLoss() if classes == 1 else nn.CrossEntropyLoss(), classes, channel=False)
    try:
        from monai.losses import DiceCELoss  # noqa: PLC0415 - compression and evaluation need no MONAI
    except ImportError as error:
        raise ImportError("loss dice_ce needs MONAI: `pip install monai`, or train with loss bce") from error
    if classes == 1:
        return _Loss(DiceCELoss(sigmoid=True), classes, channel=True)
    # Over the whole batch, because most images lack most labels, and Dice is of little use for absent labels.
    return _Loss(DiceCELoss(softmax=True, to_onehot_y=True, batch=True), classes, channel=True)
