"""What is read, and what is trained on it: sections of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dataset.options import Exif, Interpolation
from models.training.options import Augment, Loss, Optimizer, Precision, Schedule, WeightGradients


def split_list(value: object) -> object:
    """Accepts "16,32" as well as [16, 32] and 16."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return (value,) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _names(value: object) -> object:
    """Accepts "tumor,edema" as well as a list; which names, not their order, is what counts."""
    names = split_list(value)
    return tuple(sorted({str(name) for name in names})) if isinstance(names, (list, tuple)) else names


def _channels(value: object) -> object:
    """Accepts "3" from the command line; says of other numbers what there is."""
    number = _whole_number(value)
    if number in (1, 3):
        return number
    raise ValueError("choose 1 (gray) or 3 (colour); of images with a fourth channel, the first three are read")


def _whole_number(value: object) -> object:
    """Accepts "3" from the command line where only certain numbers are allowed."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _share(value: float) -> float:
    """Says what a share is to whoever gives percent."""
    if not 0 < value <= 1:
        raise ValueError("give a share above 0, at most 1, as 0.25 for 25 %")
    return value


Share = Annotated[float, AfterValidator(_share)]
Positive = Annotated[float, Field(gt=0)]
Extent = Annotated[int, Field(ge=16, le=8192)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """What is read from the data set.

    Attributes:
        image_size: Height and width that images and masks are resized to.
        channels: 1 reads images as gray, 3 as colour.
        multi_class: Masks hold class indices; otherwise tumor or not.
        categories: Names of the categories that are read; empty for all. Objects of others are left out and counted.
        skip_bad_samples: Leaves samples out that cannot be read, and lists them; otherwise they stop the run.
        interpolation: How images are resized: `area` averages what falls into a pixel, whatever the kind of file;
            `linear`, `cubic` and `nearest` as OpenCV does, for networks that were trained so. See docs/performance.md.
        exif: Whether an image whose EXIF orientation is not upright is turned (`apply`) or taken as stored (`ignore`),
            where its annotated size does not tell on which of the two the outlines were drawn.
    """

    image_size: tuple[Extent, Extent] = (256, 256)
    channels: Annotated[Literal[1, 3], BeforeValidator(_channels)] = 3
    multi_class: bool = False
    categories: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    skip_bad_samples: bool = False
    interpolation: Interpolation = "area"
    exif: Exif = "apply"


class InputConfig(Section):
    """How stored images become the network's input: (x / 255 - mean) / std.

    The defaults are mean and standard deviation of brain MRI slices with their dark background.
    """

    mean: float = 0.18
    std: Positive = 0.18


class ModelConfig(Section):
    """The U-Net."""

    base_filters: Annotated[int, Field(ge=1, le=1024)] = 64
    bilinear: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _even(self) -> ModelConfig:
        if self.bilinear and self.base_filters % 2:
            raise ValueError(f"base_filters is {self.base_filters}; with bilinear up-sampling it must be even")
        return self


class TrainingConfig(Section):
    """How the baseline is trained.

    The reference implementation's way is `optimizer: adam`, `schedule: plateau`, `loss: bce`, `augment: none`.
    `augment: flips` is flips and quarter turns, `full` adds small affine maps and changes of intensity.
    `devices` share each batch: CUDA devices, or processes on the CPU.
    `cpu_weight_gradients: torch` switches off our own weight gradients of 3x3 convolutions, which are several times
    faster on the CPU and differ from torch's by rounding; see `models.training.options.TrainingOptions`.
    """

    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 8
    lr: Positive = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    optimizer: Optimizer = "adamw"
    schedule: Schedule = "one_cycle"
    loss: Loss = "dice_ce"
    augment: Augment = "full"
    patience: Annotated[int, Field(ge=1)] | None = None
    precision: Annotated[Precision, BeforeValidator(str)] = "auto"
    devices: Annotated[int, Field(ge=1)] = 1
    cpu_weight_gradients: WeightGradients = "winograd"

    @model_validator(mode="after")
    def _shared(self) -> TrainingConfig:
        if self.batch_size < self.devices:
            raise ValueError(
                f"batch_size is {self.batch_size} and devices {self.devices}; give each device an image at least"
            )
        return self
