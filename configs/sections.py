"""What is read, and what is trained on it: sections of the configuration."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)

from dataset.options import Exif, Format, Interpolation, Shares, check_pattern, check_shares
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


def _shares(value: object) -> object:
    """Accepts "0.7,0.15,0.15" as well as a list; three of them."""
    shares = split_list(value)
    if value is not None and not (isinstance(shares, (list, tuple)) and len(shares) == 3):
        raise ValueError("give the shares of train, valid and test, which sum to 1, as 0.7,0.15,0.15")
    return shares


def _channels(value: object) -> object:
    """Accepts "3" from the command line; says of other numbers what there is."""
    number = whole_number(value)
    if number in (1, 3):
        return number
    raise ValueError("choose 1 (gray) or 3 (colour); of images with a fourth channel, the first three are read")


def _text(value: object) -> object:
    """Accepts a number from the command line where a text is wanted."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def whole_number(value: object) -> object:
    """Accepts "3" from the command line where only certain numbers are allowed."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _constructor(value: object) -> object:
    """Says how a network is named."""
    name = r"[^\W\d]\w*"
    if isinstance(value, str) and not re.fullmatch(rf"({name}\.)+(?!py$){name}|(.*[/\\])?{name}\.py:{name}", value):
        raise ValueError(
            "write package.module.Name, as monai.networks.nets.BasicUNet, or folder/file.py:Name, where the file's "
            "name has letters, digits and _ alone"
        )
    return value


def _arguments(value: object) -> object:
    """Accepts JSON from the command line; says of other values what JSON cannot hold, as a saved network has to."""
    try:
        arguments = json.loads(value) if isinstance(value, str) else value
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"it is no JSON ({error}); write '{{\"features\": [8, 8, 16, 32, 64, 8]}}', without NaN and Infinity"
        ) from error
    return arguments


def _share(value: object, parse: Callable[[object], float]) -> float:
    """Says what a share is to whoever gives percent, or no number."""
    try:
        share = parse(value)
    except ValidationError:
        share = math.nan
    if not 0 < share <= 1:
        raise ValueError("give a share above 0, at most 1, as 0.25 for 25 %")
    return share


Share = Annotated[float, WrapValidator(_share)]
Positive = Annotated[float, Field(gt=0)]
Extent = Annotated[int, Field(ge=16, le=8192)]
Filters = Annotated[int, Field(ge=1, le=1024)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """What is read from the data set.

    Attributes:
        format: The layout of the data set: `auto` looks which one it is; see docs/your-data.md.
        axis: The axis of the stored array along which NIfTI volumes are cut into slices.
        modality: Which image is read where a mask has several, by the end of its name (`flair`, `0001`), or by its
            number where they are in one file.
        image_size: Height and width that images and masks are resized to.
        channels: 1 reads images as gray, 3 as colour.
        multi_class: Masks hold class indices; otherwise tumor or not.
        categories: Names of the categories that are read; empty for all. Objects of others are left out and counted.
        skip_bad_samples: Leaves samples out that cannot be read, and lists them; otherwise they stop the run.
        interpolation: How images are resized: `area` averages what falls into a pixel, whatever the kind of file;
            `linear`, `cubic` and `nearest` as OpenCV does, for networks that were trained so. See docs/performance.md.
        exif: Whether an image whose EXIF orientation is not upright is turned (`apply`) or taken as stored (`ignore`),
            where its annotated size does not tell on which of the two the outlines were drawn.
        split: Shares of training, validation and test images, for data without splits; None where the data have them.
        split_seed: Seed of that division; not that of the training, so that another training has the same test.
        group_by: A regular expression, searched for in each file name: its first group, or the whole match, names the
            patient. Patients are never divided, and intervals are over them. None where they are not known.
    """

    format: Format = "auto"
    axis: Literal[0, 1, 2] = 2
    modality: Annotated[str | None, BeforeValidator(_text)] = None
    image_size: tuple[Extent, Extent] = (256, 256)
    channels: Annotated[Literal[1, 3], BeforeValidator(_channels)] = 3
    multi_class: bool = False
    categories: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    skip_bad_samples: bool = False
    interpolation: Interpolation = "area"
    exif: Exif = "apply"
    split: Annotated[Shares | None, BeforeValidator(_shares)] = None
    split_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    group_by: str | None = None

    @field_validator("split")
    @classmethod
    def _shared(cls, shares: Shares | None) -> Shares | None:
        if shares is not None:
            check_shares(shares)
            if min(shares) == 0:
                raise ValueError("each of the three needs images: networks are chosen on valid and judged on test")
        return shares

    @field_validator("group_by")
    @classmethod
    def _expression(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            check_pattern(pattern)
        return pattern


class InputConfig(Section):
    """How stored images become the network's input: (x / 255 - mean) / std.

    The defaults are mean and standard deviation of brain MRI slices with their dark background.
    """

    mean: float = 0.18
    std: Positive = 0.18


class ModelConfig(Section):
    """The network: our U-Net, or one that is named.

    Attributes:
        base_filters: Filters of our U-Net's first level; of several numbers, as "16,8", the first, see
            `further_filters`.
        further_filters: The same of further trainings, which are compressed and compared with this one.
        bilinear: Whether it enlarges by interpolation.
        dropout: Its dropout at the bottleneck.
        network: Constructor of another network, `package.module.Name` or `folder/file.py:Name`; None is our U-Net.
        arguments: What that constructor is called with. Names of channels, classes and axes that libraries agree on
            (in_channels, out_channels, classes, spatial_dims) follow from the data where they are not given.
        output: Where that network gives several tensors, the number or key of the logits.
    """

    base_filters: Filters = 64
    further_filters: Annotated[tuple[Filters, ...], BeforeValidator(split_list)] = ()
    bilinear: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    network: Annotated[str, BeforeValidator(_constructor)] | None = None
    arguments: Annotated[dict[str, Any], BeforeValidator(_arguments)] = {}
    output: int | str | None = None

    @model_validator(mode="before")
    @classmethod
    def _several(cls, values: object) -> object:
        """Accepts "16,8" as filters of the main training and of a further one."""
        given = values.get("base_filters") if isinstance(values, dict) else None
        filters = split_list(given)
        if not isinstance(values, dict) or not isinstance(filters, (list, tuple)) or not filters:
            return values
        if len(filters) == 1:
            return {**values, "base_filters": filters[0]}
        if "further_filters" in values:
            raise ValueError(f"base_filters is {given!r}, which says the further ones; leave further_filters out")
        return {**values, "base_filters": filters[0], "further_filters": tuple(filters[1:])}

    @model_validator(mode="after")
    def _even(self) -> ModelConfig:
        every = (self.base_filters, *self.further_filters)
        for number, filters in enumerate(every):
            if filters in every[:number]:
                raise ValueError(f"base_filters (--base_filters): {filters} occurs more than once")
            if self.bilinear and filters % 2:
                raise ValueError(
                    f"base_filters (--base_filters) is {filters}; with bilinear up-sampling it must be even"
                )
        return self

    @model_validator(mode="after")
    def _named(self) -> ModelConfig:
        if self.network is None and (self.arguments or self.output is not None):
            given = "arguments" if self.arguments else "output"
            raise ValueError(f"model.{given} is of a network that is named, and none is; give --network")
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


class PredictionConfig(Section):
    """Masks of images that have none, by a network that exists; nothing is trained or compressed.

    Attributes:
        images: An image, or a folder of images; None trains and compares networks instead.
        network: A network's folder, or the URI of one in MLflow: `models:/name@alias`, `models:/name/version`,
            `runs:/run/place`.
    """

    images: Path | None = None
    network: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _both(self) -> PredictionConfig:
        if self.images is not None and self.network is None:
            raise ValueError(
                "--predict needs a network: give its folder, or models:/name@alias, by --model (the networks of a run "
                "are in networks/ of its folder of results)"
            )
        if self.images is None and self.network is not None:
            raise ValueError("--model is the network that predicts: give the images, too, by --predict")
        return self


class ReadingConfig(Section):
    """How a network that exists reads images without masks; what decides the masks of a run with `--predict`."""

    image_size: tuple[Extent, Extent]
    channels: Literal[1, 3]
    interpolation: Interpolation
    exif: Exif
    skip_bad_samples: bool
    batch_size: Annotated[int, Field(ge=1)]
