"""Dice of every method at equal bytes of the stored file, for `accuracy.py --bytes`.

Everybody gets what ours gets: biases and BatchNorm in half precision, rounding that knows the data from the same
training images, and BatchNorm recalibrated afterwards. Rank, share and bits are the largest with which the file fits.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from benchmarks.accuracy_bench import EVALUATION, Bench, timed
from benchmarks.accuracy_bytes_page import BITS, SHARES, key, write_bytes_page
from torch_lowrank.compression import compress
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.io import weights
from torch_lowrank.quantization.bits import HALF
from torch_lowrank.quantization.quantize import quantize_weights
from torch_lowrank.quantization.size_budget import SizeBudget, float_size
from torch_lowrank.ranks.budgets import BudgetError, ParameterBudget
from torch_lowrank.ranks.rules import FixedRank

# Of recovery, chosen on valid at a fiftieth of the bytes: a rate of 1e-3 unlearned what rounding had left, and the
# baseline alone as teacher was better than with the masks.
RECOVERY = {"lr": 2e-4, "distillation": 1.0, "keep_start": True}
Made = tuple[nn.Module, dict[str, Any]]  # a network and what is said of it


def at_equal_bytes(arguments: argparse.Namespace, file: Path, folder: Path) -> None:
    """Measures every method at shares of the bytes, and writes the section of the page."""
    bench = Bytes(arguments, file, folder)
    bench.measure()
    if arguments.finetune:
        bench.recover()
    write_bytes_page(arguments.name, bench.record)


@dataclasses.dataclass(frozen=True)
class Solved:
    """A method with one whole number, the largest of which is sought with which the file fits.

    Attributes:
        make: The network that the number and statistics, or none, make; its size does not depend on statistics.
        most: The largest number.
        bits: Of all weights.
    """

    make: Callable[[int, Statistics | None], nn.Module]
    most: int
    bits: int


class Bytes(Bench):
    """Networks in files of equal size."""

    def more_about(self) -> dict[str, Any]:
        """Returns the bytes of the network's own file, which test images have a lesion, and how recovery trains."""
        lesion = np.asarray(self.data["test"].masks).any((1, 2))
        return {"bytes": float_size(self.network), "lesion": lesion.tolist(), "recovery": RECOVERY}

    def measure(self) -> None:
        """Measures what is missing."""
        if "baseline" not in self.record["results"]:
            seconds, dice = timed(lambda: self.dice(self.network))
            self.record["seconds"][EVALUATION] = seconds
            self.keep("baseline", {"bytes": float_size(self.network), "plain": dice})
        for bits in BITS:
            self._measure(f"nearest {bits}", functools.partial(self._in_few_bits, bits, knows_data=False))
            self._measure(f"baseline {bits}", functools.partial(self._in_few_bits, bits, knows_data=True))
        for method in self.solved:
            for share in SHARES:
                self._measure(key(method, share), functools.partial(self._solve, method, share))
        for share in SHARES:
            self._measure(key("size", share), functools.partial(self._to_size, share))

    def recover(self) -> None:
        """Trains ours on at every size but the first, with rounded weights, and keeps what is best on `valid`."""
        for share in SHARES[1:]:
            name = key("recovered", share)
            if name in self.record["results"] or "reason" in self.record["results"][key("size", share)]:
                continue
            network, _ = self._to_size(share)
            self.recalibrate(network)
            history = self.tune(network, f"{share}", **RECOVERY)
            about = {"bytes": len(weights(network)), "valid": history.best.judged}
            self.keep(name, {**about, "recovered": self.dice(network)})

    def _measure(self, name: str, make: Callable[[], Made]) -> None:
        """Measures a network, unless that was done before; if a budget cannot be met, the reason is kept."""
        if name in self.record["results"]:
            return
        try:
            network, about = make()
        except BudgetError as error:
            self.keep(name, {"reason": str(error)})
            return
        self.recalibrate(network)
        self.keep(name, {"bytes": len(weights(network)), **about, "recalibrated": self.dice(network)})

    def _in_few_bits(self, bits: int, *, knows_data: bool) -> Made:
        """Returns the network itself with its weights rounded."""
        statistics = self.moments if knows_data else None
        return quantize_weights(self.network, bits, statistics=statistics, other_bits=HALF), {}

    def _to_size(self, share: int) -> Made:
        """Returns ours at one share of the bytes."""
        options = {"spectra": self.weighted, "statistics": self.moments, "device": self.device}
        seconds, made = timed(lambda: compress(self.network, SizeBudget(1 / share), **options))  # type: ignore[arg-type]
        self.record["seconds"]["one budget of bytes"] = seconds
        return made.network, {"layers": {each.name: (each.scheme, each.rank, each.bits) for each in made.layers}}

    def _solve(self, method: str, share: int) -> Made:
        """Returns the largest network of another method whose file fits."""
        solved = self.solved[method]
        low, high = 0, solved.most
        while low < high:
            middle = (low + high + 1) // 2
            fits = self._size(method, middle) * share <= float_size(self.network)
            low, high = (middle, high) if fits else (low, middle - 1)
        if not low or not self._size(method, low):
            raise BudgetError("its smallest file is larger")
        network = solved.make(low, self.moments)
        return quantize_weights(network, solved.bits, statistics=self.moments, other_bits=HALF), {"solved": low}

    def _size(self, method: str, number: int) -> int:
        """Returns the bytes of a file; 0 where so few parameters cannot be had."""
        if (method, number) not in self._sizes:
            solved = self.solved[method]
            try:
                network = quantize_weights(solved.make(number, None), solved.bits, other_bits=HALF)
                self._sizes[method, number] = len(weights(network))
            except BudgetError:
                self._sizes[method, number] = 0
        return self._sizes[method, number]

    @functools.cached_property
    def _sizes(self) -> dict[tuple[str, int], int]:
        return {}

    @functools.cached_property
    def solved(self) -> dict[str, Solved]:
        """The other methods, by name."""
        return {
            "budget 8": Solved(self._budget, 1000, 8),
            "budget 4": Solved(self._budget, 1000, 4),
            "svd 8": self._svd("channel"),
            "svd_spatial 8": self._svd("spatial"),
        }

    def _budget(self, thousandths: int, statistics: Statistics | None) -> nn.Module:
        rule = ParameterBudget(thousandths / 1000)
        return compress(self.network, rule, spectra=self.weighted, statistics=statistics).network

    def _svd(self, scheme: str) -> Solved:
        spectra = decompose(self.network, scheme)
        full = max(each.full_rank for name in spectra.layers for each in spectra.options(name))
        return Solved(lambda rank, _: compress(self.network, FixedRank(rank), spectra=spectra).network, full, 8)

    @functools.cached_property
    def moments(self) -> Statistics:
        """The second moments of the network."""
        seconds, statistics = timed(self.statistics)
        self.record["seconds"]["statistics"] = seconds
        return statistics

    @functools.cached_property
    def weighted(self) -> Spectra:
        """The spectra weighted by them."""
        seconds, spectra = timed(lambda: decompose(self.network, "auto", statistics=self.moments, device=self.device))
        self.record["seconds"]["weighted decomposition"] = seconds
        return spectra
