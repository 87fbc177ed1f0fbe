"""The device of each step, which follows from the machine, the stack and its settings, and is part of cache keys."""

from __future__ import annotations

import dataclasses
from typing import Literal

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
