"""How much the loss depends on each channel: optimal brain damage, with the Fisher information for the curvature.

LeCun, Denker and Solla 1989, "Optimal Brain Damage": a weight w that is removed raises the loss by h w^2 / 2, where h
is its entry on the Hessian's diagonal. Theis et al. 2018, "Faster gaze prediction with dense networks and Fisher
pruning" (arXiv 1801.05787), take for h the mean square of the gradients of single images. A channel's importance is the
sum over all weights that go with it, in all layers that it runs through.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from models.networks.errors import NetworkError, code_of_others
from models.pruning.channels import ChannelGraph

Loss = Callable[[Tensor, Tensor], Tensor]


def importances(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], loss: Loss, device: str | torch.device
) -> dict[str, Tensor]:
    """Returns the importance of every channel that can be removed, by the layer whose output it is; float64, (C,).

    Channels that the criterion does not know how to judge are left out.

    Args:
        network: The network; it is not changed.
        batches: Images (1, C, H, W) and their labels (1, H, W), one by one.
        loss: Of logits and labels, a scalar.
        device: Where to compute.

    Raises:
        PruningError: The network cannot be traced.
        ValueError: There are no images.
        FloatingPointError: An importance is not finite.
    """
    import torch_pruning  # noqa: PLC0415 - for those who prune alone

    network = copy.deepcopy(network).to(device).eval()
    squares: dict[nn.Parameter, Tensor] = {}
    shown = None
    for images, labels in batches:
        shown = images.to(device)
        network.zero_grad()
        with torch.enable_grad():
            loss(network(shown), labels.to(device)).backward()
        for parameter in network.parameters():
            if parameter.grad is not None:
                squares[parameter] = squares.get(parameter, torch.zeros_like(parameter)) + parameter.grad.square()
    if shown is None:
        raise ValueError("there are no images to take importances from")
    graph = ChannelGraph(network, shown)
    for parameter in network.parameters():
        parameter.grad = squares.get(parameter, torch.zeros_like(parameter))  # where the criterion looks for h
    criterion = torch_pruning.importance.GroupHessianImportance(group_reduction="sum", normalizer=None)
    found: dict[str, Tensor] = {}
    for channels, group in graph.groups():
        with contextlib.suppress(NetworkError), code_of_others("a group of another kind"):
            values = criterion(group).double().cpu()
            if len(values) == channels.width:  # not so where a map of one channel is multiplied with all
                found[channels.layer] = values
    diverged = next((layer for layer, values in found.items() if not bool(values.isfinite().all())), None)
    if diverged is not None:
        raise FloatingPointError(f"the loss has no finite gradient at layer {diverged!r}; the network has diverged")
    return found
