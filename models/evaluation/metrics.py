"""Segmentation metrics, computed from the pixel counts of every image and label.

Nothing is averaged over batches, so no value depends on the batch size. All values are finite.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Counts:
    """Pixel counts of each image and label (label against the rest): int64 tensors (N, L); label 0 is background.

    Attributes:
        tp: Pixels of the label, predicted as the label.
        fp: Pixels of other labels, predicted as the label.
        fn: Pixels of the label, predicted as another.
        tn: All other pixels.
    """

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor

    @classmethod
    def concatenate(cls, parts: Sequence[Counts]) -> Counts:
        """Joins the counts of successive batches.

        Raises:
            ValueError: There are no parts.
        """
        if not parts:
            raise ValueError("there are no images to measure; the split is empty")
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    def one_against_rest(self, label: int) -> Counts:
        """Returns the counts of a label as the only foreground: tensors (N, 2)."""
        tp, fp, fn, tn = (getattr(self, field.name)[:, label] for field in dataclasses.fields(self))
        pairs = ((tn, tp), (fn, fp), (fp, fn), (tp, tn))  # of the rest, of the label
        return Counts(*(torch.stack(pair, dim=1) for pair in pairs))

    def of_groups(self, groups: Sequence[str]) -> tuple[list[str], Counts]:
        """Returns the groups in alphabetical order, and the sums over the images of each: tensors (groups, L).

        Raises:
            ValueError: There is not one group an image.
        """
        if len(groups) != len(self.tp):
            raise ValueError(f"{len(groups)} groups are named for {len(self.tp)} images; give one for each")
        names = sorted(set(groups))
        place = {group: row for row, group in enumerate(names)}
        rows = torch.tensor([place[group] for group in groups])
        sums = (
            torch.zeros(len(names), self.tp.shape[1], dtype=torch.int64).index_add_(0, rows, getattr(self, field.name))
            for field in dataclasses.fields(self)
        )
        return names, Counts(*sums)

    def total(self) -> Counts:
        """Returns the sums over the images: tensors (1, L)."""
        return Counts(*(getattr(self, field.name).sum(0, keepdim=True) for field in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True)
class Metrics:
    """The metrics of a network on a split.

    Attributes:
        metrics: At least `dice` and `iou` (means over images), `dice_global`, `iou_global`, `precision`, `recall` (from
            the counts of all images together) and `pixel_accuracy`; where there are images with a lesion, `dice_lesion`
            and `iou_lesion` (means over these) and `recall_images` (share of them of whose lesion a pixel is found, and
            taken for its class); where there are others, `false_alarm_images` (share of them in which something is
            found); where groups are known, `dice_patient` (mean over `per_group`).
        per_image: At least `dice`, `iou`, `lesion_px` (pixels of the true mask), `predicted_px` and `overlap_px`
            (pixels of both masks with the same label) of every image, in the order of the split.
        per_group: Patient, or volume, to the Dice of all pixels of its images, taken as one image; empty where groups
            are not known.
        classes: The same of each label against the rest, in their order without the background; empty with one class.
    """

    metrics: dict[str, float]
    per_image: dict[str, list[float]]
    classes: list[Metrics] = dataclasses.field(default_factory=list)
    per_group: dict[str, float] = dataclasses.field(default_factory=dict)


def label_count(classes: int) -> int:
    """Returns the number of labels in a mask: with one class two, background and foreground."""
    return max(classes, 2)


def predicted_labels(logits: Tensor, classes: int) -> Tensor:
    """Returns the labels int64 (N, H, W) that logits (N, classes, H, W) predict.

    With one class, label 1 where the logit is above 0; with several, the label of the largest logit.

    Raises:
        ValueError: The number of channels is not `classes`.
    """
    if logits.ndim != 4 or logits.shape[1] != classes:
        raise ValueError(f"logits have shape {tuple(logits.shape)}; with {classes} classes give (N, {classes}, H, W)")
    return (logits[:, 0] > 0).long() if classes == 1 else logits.argmax(dim=1)


def count_pixels(prediction: Tensor, truth: Tensor, labels: int) -> Counts:
    """Counts the pixels of each image by label, by a confusion matrix for each image.

    Args:
        prediction: Integer labels (N, H, W).
        truth: Integer labels (N, H, W) on the same device.
        labels: Number of labels, background included.

    Raises:
        ValueError: Shapes differ, or a label is not in [0, labels).
    """
    if prediction.shape != truth.shape or truth.ndim != 3:
        shapes = f"{tuple(prediction.shape)} and {tuple(truth.shape)}"
        raise ValueError(f"prediction and truth have shapes {shapes}; give (N, H, W) for both")
    for name, values in (("prediction", prediction), ("truth", truth)):
        if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < labels:
            found = f"{int(values.min())} to {int(values.max())}"
            raise ValueError(f"{name} holds labels {found}; with {labels} labels give 0 to {labels - 1}")
    images = len(truth)
    cell = truth.long() * labels + prediction.long()
    cell += torch.arange(images, device=truth.device).view(-1, 1, 1) * labels**2
    confusion = torch.bincount(cell.flatten(), minlength=images * labels**2).view(images, labels, labels).cpu()
    tp = confusion.diagonal(dim1=1, dim2=2)
    fp, fn = confusion.sum(1) - tp, confusion.sum(2) - tp
    return Counts(tp, fp, fn, confusion.sum((1, 2)).unsqueeze(1) - tp - fp - fn)


def dice(counts: Counts) -> Tensor:
    """Returns Dice = 2 tp / (2 tp + fp + fn) of each row, float64 (N,), as mean over the foreground labels present.

    A label is present if truth or prediction has a pixel of it. If none is present, the value is 1.
    """
    return _foreground_mean(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, counts)


def iou(counts: Counts) -> Tensor:
    """Returns intersection over union = tp / (tp + fp + fn) of each row, float64 (N,); the mean as for `dice`."""
    return _foreground_mean(counts.tp, counts.tp + counts.fp + counts.fn, counts)


def precision(counts: Counts) -> Tensor:
    """Returns precision = tp / (tp + fp) of each row, float64 (N,); 0 for a label present and never predicted."""
    return _foreground_mean(counts.tp, counts.tp + counts.fp, counts)


def recall(counts: Counts) -> Tensor:
    """Returns recall = tp / (tp + fn) of each row, float64 (N,); 0 for a label predicted and nowhere present."""
    return _foreground_mean(counts.tp, counts.tp + counts.fn, counts)


def pixel_accuracy(counts: Counts) -> Tensor:
    """Returns the share of pixels with the right label of each row, float64 (N,)."""
    pixels = (counts.tp + counts.fn).sum(1)  # each pixel has one true label
    return counts.tp.sum(1).double() / pixels.clamp(min=1)


def lesion_pixels(counts: Counts) -> Tensor:
    """Returns the size of the true mask in pixels, all foreground labels together, of each row, float64 (N,)."""
    return (counts.tp + counts.fn)[:, 1:].sum(1).double()


def predicted_pixels(counts: Counts) -> Tensor:
    """Returns the size of the predicted mask in pixels, all foreground labels together, of each row, float64 (N,)."""
    return (counts.tp + counts.fp)[:, 1:].sum(1).double()


def dice_of_groups(counts: Counts, groups: Sequence[str]) -> dict[str, float]:
    """Returns the Dice of each group, a patient or volume, of all pixels of its images taken as one image.

    Args:
        counts: Of every image.
        groups: The group of each; none at all where they are not known.
    """
    if not groups:
        return {}
    names, sums = counts.of_groups(groups)
    return dict(zip(names, dice(sums).tolist(), strict=True))


def summarise(counts: Counts, groups: Sequence[str] = ()) -> Metrics:
    """Computes all metrics from the counts of every image, of the whole foreground and of each label.

    Args:
        counts: Of every image.
        groups: The group of each; none at all where they are not known.
    """
    labels = counts.tp.shape[1]
    dices, ious, areas, total = dice(counts), iou(counts), lesion_pixels(counts), counts.total()
    lesion, found = areas > 0, counts.tp[:, 1:].sum(1) > 0
    of_groups = dice_of_groups(counts, groups)
    values = {
        "dice": dices.mean(),
        "iou": ious.mean(),
        **({"dice_lesion": dices[lesion].mean(), "iou_lesion": ious[lesion].mean()} if lesion.any() else {}),
        **({"recall_images": found[lesion].double().mean()} if lesion.any() else {}),
        **({"false_alarm_images": (predicted_pixels(counts)[~lesion] > 0).double().mean()} if not lesion.all() else {}),
        **({"dice_patient": torch.tensor(list(of_groups.values()), dtype=torch.float64).mean()} if of_groups else {}),
        "dice_global": dice(total),
        "iou_global": iou(total),
        "pixel_accuracy": pixel_accuracy(total),
        "precision": precision(total),
        "recall": recall(total),
    }
    return Metrics(
        metrics={name: float(value) for name, value in values.items()},
        per_image={
            "dice": dices.tolist(),
            "iou": ious.tolist(),
            "lesion_px": areas.tolist(),
            "predicted_px": predicted_pixels(counts).tolist(),
            "overlap_px": counts.tp[:, 1:].sum(1).double().tolist(),
        },
        classes=[summarise(counts.one_against_rest(label), groups) for label in range(1, labels if labels > 2 else 1)],
        per_group=of_groups,
    )


def _foreground_mean(numerator: Tensor, denominator: Tensor, counts: Counts) -> Tensor:
    present = ((counts.tp + counts.fp + counts.fn) > 0)[:, 1:]
    score = numerator[:, 1:].double() / denominator[:, 1:].clamp(min=1)
    number = present.sum(1)
    mean = (score * present).sum(1) / number.clamp(min=1)
    return torch.where(number > 0, mean, torch.ones_like(mean))
