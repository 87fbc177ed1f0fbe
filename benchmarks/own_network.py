"""A network of one's own in a file, as docs/your-network.md shows it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Two levels, and attention on the lower one."""

    def __init__(self, in_channels: int = 1, classes: int = 1, width: int = 32) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.coarse = nn.Sequential(nn.Conv2d(width, width, 8, stride=8), nn.BatchNorm2d(width), nn.ReLU())
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.head = nn.Sequential(nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, C, H, W), sides a multiple of 8, to logits (N, classes, H, W)."""
        fine = self.fine(x)
        low = self.coarse(fine)
        tokens = low.flatten(2).mT
        low = low + self.attention(tokens, tokens, tokens, need_weights=False)[0].mT.reshape(low.shape)
        return self.head(torch.cat([fine, nn.functional.interpolate(low, fine.shape[2:])], dim=1))
