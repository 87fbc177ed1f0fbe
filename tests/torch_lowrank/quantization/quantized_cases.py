"""Networks with a layer of every kind, dense and factorised."""

import torch
from torch import nn

from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.ranks.rules import FixedRank


class EveryKind(nn.Module):
    """A weight of each kind of layer, with groups and without, beside an embedding, BatchNorm and tied weights."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.one = nn.Sequential(nn.Conv1d(4, 6, 3, groups=2), nn.BatchNorm1d(6), nn.ConvTranspose1d(6, 4, 2))
        self.two = nn.Sequential(
            nn.Conv2d(4, 6, (3, 2)),
            nn.BatchNorm2d(6),
            nn.Conv2d(6, 6, 3, groups=6, padding=1),
            nn.ConvTranspose2d(6, 8, (2, 3), stride=2, groups=2),
        )
        self.three = nn.Sequential(nn.Conv3d(2, 4, (1, 2, 3)), nn.ConvTranspose3d(4, 6, 2, groups=2))
        self.linear = nn.Linear(7, 5)
        self.embedding = nn.Embedding(5, 4)
        self.tied = nn.Linear(4, 5, bias=False)
        self.tied.weight = self.embedding.weight

    def forward(self, one, two, three):
        pooled = [module(x).flatten(1).sum(1) for module, x in ((self.one, one), (self.two, two), (self.three, three))]
        numbers = torch.stack(pooled, 1)
        return self.tied(self.embedding(numbers.argmax(1))) + self.linear(
            torch.cat([numbers, numbers, numbers[:, :1]], 1)
        )


def inputs():
    generator = torch.Generator().manual_seed(9)
    shapes = (2, 4, 9), (2, 4, 8, 7), (2, 2, 4, 5, 6)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def network(scheme=None, seed=0):
    """The network, or what compression by a scheme makes of it."""
    dense = EveryKind(seed).eval()
    if scheme is None:
        return dense
    return compress(dense, FixedRank(1), spectra=decompose(dense, scheme)).network
