"""Small variants to export."""

import numpy as np
import torch
from torch import Tensor, nn

from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE
from torch_lowrank.compression import compress
from torch_lowrank.ranks.budgets import ParameterBudget

SIZE = (32, 48)


def images(number: int, height: int = SIZE[0], width: int = SIZE[1], channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (number, height, width, channels), dtype=np.uint8)


def settled(network: nn.Module, channels: int = 1) -> nn.Module:
    """The network with statistics of BatchNorm that say something, in evaluation mode."""
    with torch.no_grad():
        for seed in range(3):
            torch.manual_seed(seed)
            network.train()(0.5 + 2 * torch.randn(4, channels, *SIZE))
    return network.eval()


def variant(network: nn.Module, classes: int = 1, channels: int = 1) -> Variant:
    return Variant(BASELINE, network, Preprocessing(0.3, 0.2, channels, SIZE), classes)


def small_unet(classes: int = 1, channels: int = 1) -> nn.Module:
    """Compressed, so that some layers are factorised."""
    torch.manual_seed(0)
    dense = settled(UNet(channels, classes, 4, bilinear=classes == 1), channels)
    small = compress(dense, ParameterBudget(0.5)).network.eval()
    if classes == 1:  # half of the pixels are foreground
        with torch.no_grad():
            logits = small(Preprocessing(0.3, 0.2)(images(2, channels=channels)))
            small.outc.conv.bias -= logits.median()
    return small


class Mixed(nn.Module):
    """Layers of other kinds: in groups, depthwise, transposed; sides must be even."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.start = nn.Conv2d(1, 8, 3, padding=1)
        self.groups = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.up_norm = nn.BatchNorm2d(4)
        self.end = nn.Conv2d(5, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.norm(self.depthwise(self.groups(torch.max_pool2d(self.start(x), 2)))))
        return self.end(torch.cat([x, self.up_norm(self.up(inner))], dim=1))


class Branching(nn.Module):
    """Its code looks at values, which no exporter can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if x.mean() > 0 else self.layer(-x)
