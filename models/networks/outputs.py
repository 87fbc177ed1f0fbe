"""Which of a network's outputs are the logits: deep supervision gives lists, tuples, dictionaries or stacks of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, fx, nn

from models.networks.errors import NetworkError

Output = int | str
_LOGITS = 4  # axes (N, classes, H, W)
_STACKED = 5  # axes (N, outputs, C, H, W): what MONAI's DynUNet gives in training


class OneOutput(nn.Module):
    """A network of several outputs, of which one is taken as logits.

    Networks with deep supervision often give a single tensor in evaluation mode; that is taken as it is.

    Args:
        network: Maps images (N, C, H, W) to a list, tuple or dictionary of tensors, or to a stack (N, outputs, classes,
            H, W) of them.
        output: Which entry: its number or its key.
    """

    def __init__(self, network: nn.Module, output: Output) -> None:
        super().__init__()
        self.network = network
        self.output = output

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, C, H, W) to logits (N, classes, H, W).

        Raises:
            NetworkError: There is no such entry, or it is no tensor.
        """
        return one_of(self.network(x), self.output)


@fx.wrap  # looks at types, which torch.fx cannot trace
def one_of(outputs: Any, output: Output) -> Tensor:
    """Returns one entry of a network's outputs; a tensor (N, C, H, W) as it is.

    Raises:
        NetworkError: There is no such entry, or it is no tensor.
    """
    if isinstance(outputs, Tensor) and outputs.ndim < _STACKED:
        return outputs
    entries = entries_of(outputs)
    if output not in entries:
        raise NetworkError(f"model.output is {output!r}, and the network gives {described(outputs)}{choices(outputs)}")
    chosen = entries[output]
    if not isinstance(chosen, Tensor):
        raise NetworkError(
            f"model.output={output} is no tensor but {described(chosen)}: where logits lie deeper, name a module of "
            "your own that calls the network and returns them"
        )
    return chosen


def entries_of(outputs: Any) -> dict[Output, Any]:
    """Returns the entries of what a network gives, by number or key; none where it is a single thing."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if isinstance(outputs, Tensor):
        return dict(enumerate(outputs.unbind(1))) if outputs.ndim == _STACKED else {}
    return dict(enumerate(outputs)) if isinstance(outputs, Sequence) and not isinstance(outputs, str) else {}


def choices(outputs: Any) -> str:
    """Returns the end of a message: which entries may be the logits, tensors (N, classes, H, W)."""
    found = [name for name, entry in entries_of(outputs).items() if isinstance(entry, Tensor) and entry.ndim == _LOGITS]
    if not found:
        return "; logits are a tensor (N, classes, H, W): name a module of your own that returns them"
    said = " or ".join(f"model.output={name}" for name in found)
    return f"; say which are the logits: {said}" if len(found) > 1 else f"; for the logits, give {said}"


def described(outputs: Any) -> str:
    """Returns what a network gives, for people: entries with their shapes."""
    if isinstance(outputs, Tensor) and outputs.ndim < _STACKED:
        return f"a tensor {tuple(outputs.shape)}"
    entries = entries_of(outputs)
    if not entries:
        return f"a {type(outputs).__name__}"
    shown = ", ".join(
        f"{name}: {tuple(entry.shape) if isinstance(entry, Tensor) else f'a {type(entry).__name__}'}"
        for name, entry in entries.items()
    )
    return f"a {type(outputs).__name__} of {len(entries)} ({shown})"
