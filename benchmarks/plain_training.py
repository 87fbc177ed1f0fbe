"""A plain training loop, as most people write it, to which `benchmarks/train.py` compares ours.

Images one at a time as float32 tensors, torch's own collation, contiguous format, Adam, binary cross entropy.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from models.preprocessing import Preprocessing
from models.training.batches import LabelledImages

LEARNING_RATE = 1e-3  # Adam's default


class Images(Dataset[tuple[Tensor, Tensor]]):
    """A split, image by image: float32 (C, H, W) and (1, H, W)."""

    def __init__(self, split: LabelledImages, preprocessing: Preprocessing) -> None:
        self.split = split
        self.preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self.split.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = torch.from_numpy(self.split.images[index].copy()).permute(2, 0, 1).float() / 255
        mask = torch.from_numpy(self.split.masks[index].copy()).float().unsqueeze(0)
        return ((image - self.preprocessing.mean) / self.preprocessing.std).contiguous(), mask


class PlainTraining:
    """A network with its optimiser and its data.

    Args:
        network: Maps (N, C, H, W) to logits (N, 1, H, W).
        split: What to train on.
        preprocessing: From stored images to network input.
        batch_size: Images a step.
        seed: Decides the order.
    """

    def __init__(
        self, network: nn.Module, split: LabelledImages, preprocessing: Preprocessing, batch_size: int, seed: int
    ) -> None:
        self.network = network
        order = torch.Generator().manual_seed(seed)
        self.loader = DataLoader(Images(split, preprocessing), batch_size=batch_size, shuffle=True, generator=order)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
        self.loss = nn.BCEWithLogitsLoss()

    def epoch(self) -> float:
        """Trains on every image once, and returns the mean of the losses."""
        self.network.train()
        total = 0.0
        for images, masks in self.loader:
            self.optimizer.zero_grad()
            loss = self.loss(self.network(images), masks)
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(self.loader)
