"""Whether what is given as a network is one that can be worked on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.parameter import is_lazy

PREPARED = "prepared_for_inference"  # attribute of what `for_inference` returns


def check_module(network: nn.Module) -> None:
    """Checks that a network is a module.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(network, Mapping):
        raise TypeError(
            f"the network is of type {type(network).__name__}, a state dict perhaps; make the network, "
            "let it load_state_dict, and give it"
        )
    if not isinstance(network, nn.Module):
        raise TypeError(f"the network is of type {type(network).__name__}; give an nn.Module")


def check_network(network: nn.Module) -> None:
    """Checks that a network is a module whose layers can be seen and replaced.

    Raises:
        TypeError: It is something else, or a `ScriptModule`.
        ValueError: It has lazy layers, to which no input has given a shape yet.
    """
    check_module(network)
    if isinstance(network, torch.jit.ScriptModule):
        raise TypeError(
            "the network is a ScriptModule, whose layers cannot be replaced; give the module that was scripted or "
            "traced, and script the result"
        )
    lazy = next((name for name, parameter in network.named_parameters() if is_lazy(parameter)), None)
    if lazy is not None:
        raise ValueError(f"{lazy!r} is lazy, without a shape; call the network once on an input, as network(x)")
