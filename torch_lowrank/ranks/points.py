"""The choices of one layer as points: what each costs, and the error that it leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

_Any = TypeVar("_Any")


@dataclasses.dataclass(frozen=True)
class Points(Generic[_Any]):
    """The choices of one layer: cost ascending, error strictly descending."""

    cost: NDArray[np.int64]
    error: NDArray[np.float64]
    choices: list[_Any]

    @classmethod
    def worth_making(cls, costs: Sequence[int], errors: Sequence[float], choices: Sequence[_Any]) -> Points[_Any]:
        """Returns the choices that no other one beats in both cost and error."""
        order = np.lexsort((np.asarray(errors), np.asarray(costs)))
        error = np.asarray(errors)[order]
        best_before = np.concatenate([[np.inf], np.minimum.accumulate(error)[:-1]])
        kept = order[error < best_before]
        return cls(np.asarray(costs)[kept], np.asarray(errors)[kept], [choices[i] for i in kept])
