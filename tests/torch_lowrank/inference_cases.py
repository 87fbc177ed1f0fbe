"""What tests of networks for inference share."""

import torch
from torch import nn


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
