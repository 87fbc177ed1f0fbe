"""A small network with all kinds of layers, and inputs for it."""

import torch
from torch import nn


def images(number=2, batch=3, channels=2, size=(8, 7)):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(batch, channels, *size, generator=generator) for _ in range(number)]


def network(inplace=False, classes=1):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(inplace=inplace),
        nn.Conv2d(4, 6, (3, 2), stride=2, padding=1, dilation=(2, 1), groups=2),
        nn.ReLU(inplace=inplace),
        nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, groups=2),
        nn.ReLU(inplace=inplace),
        nn.Conv2d(4, classes, 1),
    )


def same(one, other):
    return list(one) == list(other) and all(
        torch.equal(one[name].columns, other[name].columns)
        and (one[name].rows is None) == (other[name].rows is None)
        and (one[name].rows is None or torch.equal(one[name].rows, other[name].rows))
        for name in one
    )
