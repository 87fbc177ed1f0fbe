"""The device of each step, which follows from the machine, the stack and its settings, and is part of cache keys."""

from __future__ import annotations

import dataclasses
import sys
from typing import Literal

import torch
from zenml.client import Client

from models.evaluation.results import Machine


@dataclasses.dataclass(frozen=True)
class Devices:
    """The device of every step.

    Attributes:
        default: Of all steps that are not named.
        gpu_steps: Names of the steps that have a GPU of their own, on a stack where each step has a machine.
        machine: What steps run on; None where each has a machine of its own, which nobody knows before.
    """

    default: Literal["cpu", "cuda"]
    gpu_steps: tuple[str, ...] = ()
    machine: Machine | None = None

    def of(self, step: str) -> Literal["cpu", "cuda"]:
        """Returns where a step computes."""
        return "cuda" if step in self.gpu_steps else self.default


def is_remote() -> bool:
    """Whether the active stack runs steps on other machines."""
    return not Client().active_stack.orchestrator.config.is_local


def local_device(wanted: str) -> Literal["cpu", "cuda"]:
    """Returns the device of this machine for `auto`, `cpu` or `cuda`; prints a warning if there is no such one."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        print(
            "warning: device is cuda, and CUDA is not available; going on with the CPU, which may take many times as "
            "long (check the driver and torch.cuda.is_available(), or give --device cpu)",
            file=sys.stderr,
        )
    return "cuda" if available and wanted != "cpu" else "cpu"
