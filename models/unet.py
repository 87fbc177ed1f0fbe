"""U-Net of Ronneberger et al. 2015 (arXiv 1505.04597), with the attribute names of the widely copied PyTorch U-Net."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

# Four halvings lie between the input and the bottleneck, so a side must have at least 2**4 pixels.
_MIN_SIDE = 16
_NAMES_SHOWN = 5


class UNetArguments(TypedDict):
    """The constructor arguments of `UNet`, as plain data."""

    in_channels: int
    classes: int
    base_filters: int
    bilinear: bool
    dropout: float
    wide_decoder: bool


# Functions that look at sizes are single nodes to torch.fx, which cannot trace into them.
@fx.wrap
def _prepared(x: Tensor, channels: int, training: bool, least: int = _MIN_SIDE) -> Tensor:
    """Checks images (N, C, H, W), and repeats the border of those with a side of fewer than `least` pixels."""
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(f"images have shape {list(x.shape)}; this U-Net takes (N, {channels}, H, W)")
    height, width = x.shape[2], x.shape[3]
    if training and len(x) == 1 and height < 2 * least and width < 2 * least:
        raise ValueError(
            f"one image of {height}x{width} leaves one value a channel at the bottleneck, and BatchNorm cannot "
            f"train on it; use a batch size of at least 2, or images of at least {2 * least} pixels"
        )
    if height < least or width < least:
        x = F.pad(x, [0, max(0, least - width), 0, max(0, least - height)], mode="replicate")
    return x


@fx.wrap
def _fitted(x: Tensor, skip: Tensor) -> Tensor:
    """Pads x to the height and width of skip, where an odd size was rounded down by the pooling."""
    rows, columns = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
    fits = isinstance(rows, int) and isinstance(columns, int) and rows == 0 and columns == 0
    if not fits:  # or nobody knows yet: torch.export takes sizes that are not numbers
        x = F.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
    return x


class DoubleConv(nn.Module):
    """(3x3 convolution, BatchNorm, ReLU) twice; keeps height and width."""

    def __init__(self, in_channels: int, out_channels: int, mid_channels: int | None = None) -> None:
        super().__init__()
        mid = out_channels if mid_channels is None else mid_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(mid),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H, W)."""
        return self.double_conv(x)


class Down(nn.Module):
    """Halves height and width by max pooling, then applies `DoubleConv`."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H // 2, W // 2)."""
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Doubles height and width, concatenates the skip connection in front, then applies `DoubleConv`."""

    def __init__(self, in_channels: int, out_channels: int, bilinear: bool, wide: bool) -> None:
        super().__init__()
        if bilinear:
            self.up: nn.Module = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
        self.conv = DoubleConv(in_channels, out_channels, in_channels // 2 if wide else out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Maps x at half the size and skip (N, C, H, W) to (N, out_channels, H, W)."""
        return self.conv(torch.cat([skip, self.enlarged(x, skip)], dim=1))

    def enlarged(self, x: Tensor, skip: Tensor) -> Tensor:
        """Enlarges x to the height and width of skip (N, C, H, W)."""
        return _fitted(self.up(x), skip)


class OutConv(nn.Module):
    """The 1x1 convolution from features to logits."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H, W)."""
        return self.conv(x)


class UNet(nn.Module):
    """U-Net: four levels down, four up, skip connections, one 1x1 convolution to logits.

    With 64 base filters, 1 class and bilinear up-sampling it has 13,391,361 parameters for colour images
    (`in_channels=3`) and 13,390,209 for gray ones.

    Args:
        in_channels: Channels of the input images.
        classes: Channels of the output: 1 for foreground against background, else the number of labels.
        base_filters: Channels of the first level; each level down has twice as many.
        bilinear: Up-sample by bilinear interpolation (the bottleneck then has half the channels), otherwise by
            transposed convolutions.
        dropout: Probability of dropping an activation of the bottleneck during training.
        wide_decoder: With `bilinear`, use half the input channels between the two convolutions of an up block, as later
            versions of the copied network do (17,262,977 parameters instead of 13,391,361).

    Raises:
        ValueError: An argument is out of range.
    """

    __jit_unused_properties__ = ("arguments",)  # torch.jit.script knows no dictionary of several types

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 1,
        base_filters: int = 64,
        bilinear: bool = True,
        dropout: float = 0.0,
        wide_decoder: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("in_channels", in_channels), ("classes", classes), ("base_filters", base_filters)):
            if value < 1:
                raise ValueError(f"{name} is {value}; give an integer of at least 1")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout is {dropout}; give a probability in [0, 1)")
        self._arguments = UNetArguments(
            in_channels=in_channels,
            classes=classes,
            base_filters=base_filters,
            bilinear=bilinear,
            dropout=dropout,
            wide_decoder=wide_decoder,
        )
        self._in_channels = in_channels
        f, factor = base_filters, 2 if bilinear else 1
        if f % factor:
            raise ValueError(f"base_filters is {f}; with bilinear up-sampling give an even number")
        wide = bilinear and wide_decoder
        self.inc = DoubleConv(in_channels, f)
        self.down1 = Down(f, 2 * f)
        self.down2 = Down(2 * f, 4 * f)
        self.down3 = Down(4 * f, 8 * f)
        self.down4 = Down(8 * f, 16 * f // factor)
        self.dropout = nn.Dropout(dropout)
        self.up1 = Up(16 * f, 8 * f // factor, bilinear, wide)
        self.up2 = Up(8 * f, 4 * f // factor, bilinear, wide)
        self.up3 = Up(4 * f, 2 * f // factor, bilinear, wide)
        self.up4 = Up(2 * f, f, bilinear, wide)
        self.outc = OutConv(f, classes)

    @property
    def arguments(self) -> UNetArguments:
        """The constructor arguments: `UNet(**network.arguments)` has the same architecture."""
        return self._arguments.copy()

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, in_channels, H, W) to logits (N, classes, H, W), for any H and W.

        Raises:
            ValueError: The number of channels is not `in_channels`, or the batch is too small for BatchNorm to train.
        """
        height, width = x.shape[2], x.shape[3]
        x1 = self.inc(_prepared(x, self._in_channels, self.training))
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        x5 = self.dropout(self.down4(x4))
        x = self.up1(x5, x4)
        x = self.up2(x, x3)
        x = self.up3(x, x2)
        x = self.up4(x, x1)
        return self.outc(x)[:, :, :height, :width]

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, object]) -> UNet:
        """Builds the U-Net that a state dict belongs to, and loads the state dict.

        Entries that are not tensors are ignored (the copied network's training script adds `mask_values`).

        Raises:
            ValueError: The state dict does not belong to such a U-Net; see `infer_arguments`.
        """
        network = cls(**infer_arguments(state_dict))
        network.load_state_dict({key: value for key, value in state_dict.items() if isinstance(value, Tensor)})
        return network


def infer_arguments(state_dict: Mapping[str, object]) -> UNetArguments:
    """Returns the constructor arguments that follow from the names and shapes of a state dict.

    A state dict does not show the dropout, which is returned as 0. Entries that are not tensors are ignored.

    Args:
        state_dict: Parameter name to tensor, named as in this file or in the widely copied PyTorch U-Net.

    Raises:
        ValueError: Names or shapes do not match such a U-Net; the message lists what is missing, unexpected or of
            another shape.
    """
    shapes = {key: tuple(value.shape) for key, value in state_dict.items() if isinstance(value, Tensor)}
    first, last, up = "inc.double_conv.0.weight", "outc.conv.weight", "up1.conv.double_conv.0.weight"
    absent = [key for key in (first, last, up) if len(shapes.get(key, ())) != 4]
    if absent:
        raise ValueError(_mismatch(missing=absent, unexpected=[], differing=[], keys=list(shapes)))
    bilinear = "up1.up.weight" not in shapes
    arguments = UNetArguments(
        in_channels=shapes[first][1],
        classes=shapes[last][0],
        base_filters=shapes[first][0],
        bilinear=bilinear,
        dropout=0.0,
        wide_decoder=bilinear and shapes[up][0] == shapes[up][1] // 2,
    )
    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in UNet(**arguments).state_dict().items()}
    # Files written by torch before 0.4.1 lack this counter; `load_state_dict` accepts them.
    missing = [key for key in expected if key not in shapes and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in shapes if key not in expected]
    differing = [
        f"{key} {shapes[key]} instead of {shape}"
        for key, shape in expected.items()
        if key in shapes and shapes[key] != shape
    ]
    if missing or unexpected or differing:
        raise ValueError(_mismatch(missing, unexpected, differing, list(shapes)))
    return arguments


def _mismatch(missing: list[str], unexpected: list[str], differing: list[str], keys: list[str]) -> str:
    parts = ["the state dict is not that of a U-Net as in models/unet.py"]
    for title, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", differing)):
        if names:
            more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
            parts.append(f"{title}: {', '.join(names[:_NAMES_SHOWN])}{more}")
    if keys and all(key.startswith("module.") for key in keys):
        parts.append("every name starts with `module.`, left by DataParallel: strip that prefix")
    elif missing and keys:
        parts.append(f"it holds {', '.join(keys[:_NAMES_SHOWN])}{' ...' if len(keys) > _NAMES_SHOWN else ''}")
        parts.append("of another network, say which by --network and --network_args")
    return "; ".join(parts)
