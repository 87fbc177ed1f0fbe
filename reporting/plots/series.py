"""One style for each series of variants, and what variants are called where their series can be seen.

Colours are those of Okabe and Ito ("Color Universal Design", 2008); marker, line and filling repeat what colour says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from models.evaluation.results import EvaluationResult


@dataclasses.dataclass(frozen=True)
class Series:
    """How variants that belong together are drawn.

    Attributes:
        title: Name in legends and before a variant's size.
        color: Of marker, line and label.
        marker: Matplotlib's marker.
        line: Matplotlib's line style: a name, or offset and lengths of dashes.
        filled: Whether markers are filled.
    """

    title: str
    color: str
    marker: str
    line: str | tuple[int, tuple[int, int]]
    filled: bool = True

    def look(self) -> dict[str, Any]:
        """Returns the arguments of `Axes.plot`."""
        face = self.color if self.filled else "white"
        return {"color": self.color, "marker": self.marker, "linestyle": self.line, "markerfacecolor": face}


# Other rank rules: title, colour, marker. The colours are of Tol's sets "muted" and "bright" ("Colour schemes", 2021).
_RULES = {
    "energy": ("energy", "#CC6677", "p"),
    "rank_ratio": ("rank ratio", "#44AA99", "h"),
    "evbmf": ("EVBMF", "#56B4E9", "d"),
    "hard_threshold": ("hard threshold", "#882255", ">"),
    "effective_rank": ("effective rank", "#999933", "H"),
    "stable_rank": ("stable rank", "#332288", "8"),
}
# Variants of one rank or tau for all layers are one curve, those that meet a budget another.
SERIES = {
    "baseline": Series("baseline", "#000000", "*", "none"),
    "svd": Series("SVD", "#0072B2", "o", "-"),
    "arsvd": Series("ARSVD", "#D55E00", "s", "-."),
    "svd_at_budget": Series("SVD at a budget", "#0072B2", "o", (0, (1, 3)), filled=False),
    "arsvd_at_budget": Series("ARSVD at a budget", "#D55E00", "s", (0, (1, 3)), filled=False),
    **{name: Series(title, color, marker, "--") for name, (title, color, marker) in _RULES.items()},
    **{
        f"{name}_at_budget": Series(f"{title} at a budget", color, marker, (0, (1, 3)), filled=False)
        for name, (title, color, marker) in _RULES.items()
    },
    "budget": Series("budget", "#009E73", "^", ":"),
    "budget_and_macs": Series("budget and MACs", "#CC79A7", "D", "none"),
    "pruned": Series("pruning", "#AA4499", "P", (0, (4, 2))),
    "pruned_and_macs": Series("pruning and MACs", "#AA4499", "P", "none"),
    "size": Series("size", "#E69F00", "v", "-"),
    **{
        f"{method}_in_bits": Series(f"{title} in few bits", color, marker, "none", filled=False)
        for method, title, color, marker in (
            ("baseline", "baseline", "#000000", "P"),
            ("svd", "SVD", "#0072B2", "X"),
            ("arsvd", "ARSVD", "#D55E00", "D"),
            ("budget", "budget", "#009E73", "<"),
            *((name, title, color, marker) for name, (title, color, marker) in _RULES.items()),
            ("pruned", "pruning", "#AA4499", "P"),
        )
    },
}


def series_name(result: EvaluationResult) -> str:
    """Returns the key in `SERIES` of a variant."""
    spec = result.spec
    if spec.weight_bits is not None:
        return f"{spec.method}_in_bits"
    if spec.mac_budget is not None:
        return f"{spec.method}_and_macs"
    if spec.method not in ("budget", "pruned") and spec.budget is not None:
        return f"{spec.method}_at_budget"
    return spec.method


def by_series(results: Iterable[EvaluationResult]) -> dict[str, list[EvaluationResult]]:
    """Groups variants by their series, in the order of `SERIES`; the order within a group stays."""
    groups: dict[str, list[EvaluationResult]] = {name: [] for name in SERIES}
    for result in results:
        groups[series_name(result)].append(result)
    return {name: group for name, group in groups.items() if group}


def by_training(results: Iterable[EvaluationResult]) -> dict[str, list[EvaluationResult]]:
    """Groups variants by their training; the order within a group stays."""
    groups: dict[str, list[EvaluationResult]] = {}
    for result in results:
        groups.setdefault(result.spec.training, []).append(result)
    return groups


def short_label(result: EvaluationResult) -> str:
    """Returns a variant's size alone, for places where its series can be seen: `r 16`, `25 %`, `25 %, MACs 20 %`."""
    spec = result.spec
    bits = "" if spec.weight_bits is None else f", {spec.weight_bits} bits"
    of = f" of {spec.training.replace('_', ' ')}" if spec.training else ""
    if spec.sized_by == "rank":
        return f"r {spec.rank}{bits}{of}"
    if spec.sized_by == "tau":
        return f"\N{GREEK SMALL LETTER TAU} {spec.tau:.4g}{bits}{of}"
    if spec.sized_by in ("energy", "rank_ratio"):
        return f"{getattr(spec, spec.sized_by):.4g}{bits}{of}"
    if spec.sized_by == "budget" and spec.budget is not None:
        macs = "" if spec.mac_budget is None else f", MACs {100 * spec.mac_budget:.4g} %"
        return f"{100 * spec.budget:.4g} %{macs}{bits}{of}"
    if spec.size is not None:
        return f"{100 * spec.size:.4g} % of bytes{of}"
    return spec.unrounded.name + bits


def long_label(result: EvaluationResult) -> str:
    """Returns series and size of a variant: `SVD r 16`, `SVD at 25 %`, `budget 25 %`."""
    short = short_label(result)
    if short.startswith(result.spec.unrounded.name):
        return short
    title = SERIES[series_name(result)].title
    return f"{title.removesuffix(' in few bits').removesuffix(' a budget').removesuffix(' and MACs')} {short}"
