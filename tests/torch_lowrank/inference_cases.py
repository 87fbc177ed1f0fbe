"""What tests of networks for inference share."""

import torch
from torch import nn

IMAGE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def trained(network):
    """Gives every BatchNorm what training would have left in it."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                nn.init.uniform_(values, 0.5, 2)
            for values in (module.bias, module.running_mean):
                nn.init.normal_(values)
    return network.eval()


def worst(network, other, image):
    with torch.inference_mode():
        expected = network(image)
        return float((other(image) - expected).abs().max() / expected.abs().max())


def norms(network):
    return [name for name, module in network.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


class Parts(nn.Module):
    """Two convolutions with BatchNorm in a Sequential, called in some way."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.seq = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        )


class Attributes(Parts):
    """Without a Sequential."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.seq = nn.ModuleList()

    def forward(self, x):
        return self.norm(self.conv(x)).relu()


def outputs_differ(network, other, image):
    with torch.no_grad():
        pairs = [value if isinstance(value, tuple) else (value,) for value in (network(image), other(image))]
    return max(float((one - two).abs().max()) for one, two in zip(*pairs, strict=True))
