"""A network with its preprocessing inside: from stored images to probabilities, so that nobody can forget the mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.preprocessing import Preprocessing
from models.variant import Variant
from torch_lowrank.layers.factorized import replace_layers
from torch_lowrank.norm_folding import fold_batch_norms


class Deployed(nn.Module):
    """A network that takes stored images and gives probabilities.

    Args:
        network: Maps (N, C, H, W) to logits (N, classes, H, W).
        preprocessing: From stored images to its input.
        classes: 1 for foreground against background, else the number of labels.
    """

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, classes: int) -> None:
        super().__init__()
        self.network = network
        self.preprocessing = preprocessing
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        """Maps images uint8 (N, H, W, C) to probabilities float32 (N, classes, H, W).

        Of one class the probability of the foreground, by the sigmoid; of several those of all labels, by the softmax.
        """
        logits = self.network(self.preprocessing(images)).float()
        return torch.sigmoid(logits) if self.classes == 1 else torch.softmax(logits, dim=1)


def deployed(variant: Variant) -> Deployed:
    """Returns the variant's own network, in evaluation mode, with preprocessing and probabilities."""
    return Deployed(variant.network, variant.preprocessing, variant.classes).eval()


def folded(network: nn.Module) -> nn.Module:
    """Returns a copy in evaluation mode in which BatchNorms are part of convolutions, where that is sure to be right.

    Weights in few bits have no codes any more where a BatchNorm has become part of them.
    """
    copy = replace_layers(network, {}).eval()
    fold_batch_norms(copy, None)
    return copy


def labels_of(probabilities: Tensor) -> Tensor:
    """Returns the labels int64 (N, H, W) of probabilities (N, classes, H, W), as `predicted_labels` does of logits."""
    return (probabilities[:, 0] > 0.5).long() if probabilities.shape[1] == 1 else probabilities.argmax(dim=1)
