"""Dice of every method at equal budgets, with and without recovery, with intervals: docs/results.md.

    python benchmarks/accuracy.py                        # shares of the parameters, no training: minutes
    python benchmarks/accuracy.py --finetune             # and three epochs for each network: an hour on two cores
    python benchmarks/accuracy.py --name ten_epochs --finetune --finetune_epochs 10 --methods ours reconstructed
    python benchmarks/accuracy.py --bytes                # shares of the bytes of the file; --finetune likewise
    python benchmarks/accuracy.py --name NAME --network FOLDER_OR_FILE --data FOLDER    # another network or data set

Calibration, recalibration and fine-tuning see the training split alone, epochs and learning rates are chosen on the
validation split, and every figure is of the test split. What was measured stays in benchmarks/results, so that a second
call goes on where the first one ended; --fresh begins anew.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from analysis.ranking import JUDGED  # noqa: E402
from benchmarks.accuracy_bench import BATCH, EVALUATION, RECALIBRATION_IMAGES, SEED, TUNING, Bench, key, timed  # noqa: E402
from benchmarks.accuracy_bytes import at_equal_bytes  # noqa: E402
from benchmarks.accuracy_page import write_page  # noqa: E402
from models.candidates.at_budget import Candidates  # noqa: E402
from models.training.recovery import recovery_rate  # noqa: E402
from models.variant import Variant  # noqa: E402
from models.variant_spec import BASELINE, VariantSpec  # noqa: E402
from torch_lowrank.compression import compress  # noqa: E402
from torch_lowrank.curvature.moments import Statistics  # noqa: E402
from torch_lowrank.decomposition.decompose import decompose  # noqa: E402
from torch_lowrank.decomposition.spectra import Spectra  # noqa: E402
from torch_lowrank.layers.factorized import count_parameters  # noqa: E402
from torch_lowrank.ranks.budgets import BudgetError, ParameterBudget  # noqa: E402
from torch_lowrank.ranks.noise import EVBMF, HardThreshold  # noqa: E402
from torch_lowrank.ranks.rules import Entropy, FixedRank, LayerRule  # noqa: E402
from torch_lowrank.reconstruction import reconstruct  # noqa: E402

SHARED = ROOT.parent / "shared"
BUDGETS = (0.5, 0.25, 0.125, 0.0625, 0.03125)
FINETUNED = (0.25, 0.125, 0.0625, 0.03125)
METHODS = (
    *("ours", "truncated", "reconstructed"),
    *("svd", "arsvd", "svd_spatial", "arsvd_sigma", "evbmf", "hard_threshold", "balf"),
)
SPEC = VariantSpec("budget", budget=BUDGETS[0], weighting="curvature", scheme="auto")
RULES: dict[str, LayerRule] = {
    "arsvd": Entropy(1.0, "energy"),
    "arsvd_sigma": Entropy(1.0, "sigma"),
    "evbmf": EVBMF(),
    "hard_threshold": HardThreshold(),
}  # of the methods that cut plain spectra; the others cut them at one rank


def main() -> None:
    """Measures what is missing and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="unet16_gray128", help="of the results")
    parser.add_argument("--network", type=Path, default=SHARED / "models" / "unet16_gray128.safetensors")
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "brain_tumor")
    parser.add_argument("--image_size", type=int, nargs=2, default=(128, 128))
    parser.add_argument("--bytes", action="store_true", help="at equal bytes of the file, not at equal parameters")
    parser.add_argument("--finetune", action="store_true", help="fine-tune each network, too")
    parser.add_argument("--finetune_epochs", type=int, default=TUNING.epochs, help="for so long")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--finetune_budgets", nargs="+", type=float, choices=BUDGETS, default=FINETUNED)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured")
    arguments = parser.parse_args()
    kind = "accuracy_bytes" if arguments.bytes else "accuracy"
    file = ROOT / "benchmarks" / "results" / f"{kind}_{arguments.name}.json"
    if arguments.fresh:
        file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.bytes:
            at_equal_bytes(arguments, file, Path(folder))
        else:
            at_equal_parameters(arguments, file, Path(folder))


def at_equal_parameters(arguments: argparse.Namespace, file: Path, folder: Path) -> None:
    """Measures every method at shares of the parameters, and writes the section of the page."""
    bench = Parameters(arguments, file, folder)
    bench.measure(arguments.methods)
    if arguments.finetune:
        bench.finetune(arguments.methods, arguments.finetune_budgets)
    write_page(ROOT, arguments.name, bench.record)


class Parameters(Bench):
    """Networks of equal numbers of parameters."""

    def measure(self, methods: list[str]) -> None:
        """Compresses by every method to every budget, with and without recalibration."""
        if "baseline" not in self.record["results"]:
            seconds, dice = timed(lambda: self.dice(self.network))
            self.record["seconds"][EVALUATION] = seconds
            self.keep("baseline", {"params": count_parameters(self.network), "plain": dice})
        for method in methods:
            missing = [budget for budget in BUDGETS if key(method, budget) not in self.record["results"]]
            compressor = self.compressor(method) if missing else None
            for budget in missing:
                self.keep(key(method, budget), self.at_budget(compressor, budget))

    def at_budget(self, compressor: Callable[[float], nn.Module], budget: float) -> dict[str, Any]:  # type: ignore[misc]
        """Returns size and Dice of one method at one budget."""
        try:
            network = compressor(budget)
        except BudgetError as error:
            return {"reason": str(error)}
        plain = self.dice(network)
        self.recalibrate(network)
        return {"params": count_parameters(network), "plain": plain, "recalibrated": self.dice(network)}

    def finetune(self, methods: list[str], budgets: list[float]) -> None:
        """Trains every network for some more epochs, after recalibration; anew, if it was at another rate."""
        for method in methods:
            compressor: Callable[[float], nn.Module] | None = None
            for budget in budgets:
                result = self.record["results"][key(method, budget)]
                if "params" not in result:
                    continue
                lr = recovery_rate(self.tuning.lr, result["params"] / self.record["about"]["parameters"])
                if "finetuned" in result and math.isclose(result.get("finetuned_lr", self.tuning.lr), lr, rel_tol=0.01):
                    continue
                compressor = compressor or self.compressor(method)
                network = compressor(budget)
                self.recalibrate(network)
                epochs = self.tune(network, key(method, budget), lr=lr).epochs
                tuned = {"finetuned": self.dice(network), "valid_curve": [epoch.valid_dice for epoch in epochs]}
                self.keep(key(method, budget), {**result, **tuned, "finetuned_lr": lr})

    def compressor(self, method: str) -> Callable[[float], nn.Module]:
        """Returns the function from budgets to networks; what budgets share is computed once."""
        own = {"ours": self._ours, "truncated": self._truncated, "reconstructed": self._reconstructed}
        if method in own:
            return own[method]
        if method == "balf":
            return self._balf()
        spectra = decompose(self.network, "spatial" if method == "svd_spatial" else "channel")
        rule = RULES.get(method, FixedRank(1))
        return lambda budget: compress(self.network, ParameterBudget(budget, rule), spectra=spectra).network

    @functools.cached_property
    def _weighted(self) -> tuple[Statistics, Spectra]:
        """The second moments of the network, and the spectra weighted by them."""
        seconds, statistics = timed(self.statistics)
        self.record["seconds"]["statistics"] = seconds
        seconds, spectra = timed(lambda: decompose(self.network, "auto", device=self.device, statistics=statistics))
        self.record["seconds"]["weighted decomposition"] = seconds
        return statistics, spectra

    @functools.cached_property
    def _candidates(self) -> Candidates:
        statistics, spectra = self._weighted
        baseline = Variant(BASELINE, self.network, self.preprocessing, self.data.classes)
        drawn = (self.data["train"], self.data["valid"], SPEC, RECALIBRATION_IMAGES, BATCH, SEED)
        return Candidates(baseline, spectra, statistics, *drawn, self.device)

    @functools.cached_property
    def _dense_dice(self) -> float:
        return self._candidates.evaluated(self._candidates.baseline)[JUDGED]

    def _ours(self, budget: float) -> nn.Module:
        """Returns what the pipeline's `--budgets --recalibrate` make: the best of a few on the validation images."""
        dense = self._dense_dice
        seconds, made = timed(lambda: self._candidates.best(budget, JUDGED, dense))
        self.record["seconds"][f"the search at {100 * budget:g} %"] = seconds
        print(f"kept at {budget:g}: {made.spec.allocation}, reconstructed with {made.spec.reconstructed or 0} images")
        return made.network

    def _truncated(self, budget: float) -> nn.Module:
        """Returns the first of them, with the ranks allocated and the factors refined."""
        statistics, spectra = self._weighted
        options = {"spectra": spectra, "statistics": statistics, "device": self.device}
        seconds, made = timed(lambda: compress(self.network, ParameterBudget(budget), **options))  # type: ignore[arg-type]
        self.record["seconds"]["allocation and refinement of one budget"] = seconds
        return made.network

    def _reconstructed(self, budget: float) -> nn.Module:
        """Returns the same with its layers fitted to the inputs that they get."""
        small, options = self._truncated(budget), {"statistics": self._weighted[0], "device": self.device}
        seconds, made = timed(lambda: reconstruct(self.network, small, self.batches(), **options))  # type: ignore[arg-type]
        self.record["seconds"]["reconstruction of one network"] = seconds
        return made

    def _balf(self) -> Callable[[float], nn.Module]:
        """Returns the allocation of Gonzalez Martinez 2025 (arXiv 2509.25136), in our own code.

        Each layer's weight, unfolded as im2col does, is truncated in the norm of its inputs' second moment; ranks
        minimise the sum of the discarded shares of the layers' energies within the budget, by one multiplier.
        """
        statistics = self.statistics()
        spectra = decompose(self.network, "channel", statistics=statistics, weighting="activation", device=self.device)
        return lambda budget: compress(self.network, ParameterBudget(budget), spectra=spectra).network


if __name__ == "__main__":
    main()
