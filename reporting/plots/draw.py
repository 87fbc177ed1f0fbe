"""Draws all pictures of a comparison.

Every picture is a `matplotlib.figure.Figure` of its own, without pyplot: nothing global is touched. Importing this
module imports Matplotlib, which takes seconds; what the pictures are called stands in `reporting.plots.catalogue`.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from analysis.comparison import Comparison
from analysis.examples import Examples
from analysis.singular_values import SingularValues
from reporting.plots.layer_ranks import draw_layer_ranks
from reporting.plots.masks import draw_masks
from reporting.plots.spectra import draw_spectra
from reporting.plots.sweeps import draw_sweep
from reporting.plots.tradeoffs import draw_tradeoff
from reporting.plots.training import draw_finetuning, draw_trainings
from torch_lowrank.progress import tracked

DPI = 100


@dataclasses.dataclass(frozen=True)
class Shown:
    """What pictures are drawn from.

    Attributes:
        comparison: The evaluated variants; the baseline alone is enough.
        histories: History of each training, the main one first, as
            `{"epochs": [{"epoch", "train_loss", "valid_loss", "valid_dice"}], "best_epoch"}`; other keys are ignored,
            an empty one is fine.
        spectra: `plain` and `weighted` to layer to singular values.
        examples: Predictions on a few images, None where there are none.
    """

    comparison: Comparison
    histories: Sequence[Mapping[str, Any]]
    spectra: Mapping[str, Mapping[str, SingularValues]] = dataclasses.field(default_factory=dict)
    examples: Examples | None = None


def _draw_spectra(shown: Shown, kind: str) -> Figure | None:
    """Draws those of the main training; other trainings have others."""
    return draw_spectra(shown.comparison.main, kind, shown.spectra.get(kind, {}))


DRAWN: dict[str, Callable[[Shown], Figure | None]] = {
    "dice_vs_bytes": lambda shown: draw_tradeoff(shown.comparison, "bytes") if shown.comparison.has_few_bits else None,
    "dice_vs_params": lambda shown: draw_tradeoff(shown.comparison, "params"),
    "masks": lambda shown: draw_masks(shown.examples, shown.comparison) if shown.examples is not None else None,
    "dice_vs_macs": lambda shown: draw_tradeoff(shown.comparison, "macs"),
    "dice_vs_latency": lambda shown: draw_tradeoff(shown.comparison, "latency"),
    "svd_rank": lambda shown: draw_sweep(shown.comparison, "svd"),
    "arsvd_tau": lambda shown: draw_sweep(shown.comparison, "arsvd"),
    "budget": lambda shown: draw_sweep(shown.comparison, "budget"),
    "layer_ranks": lambda shown: draw_layer_ranks(shown.comparison.main),
    "spectra": lambda shown: _draw_spectra(shown, "plain"),
    "weighted_spectra": lambda shown: draw_spectra(
        shown.comparison.main, "weighted", shown.spectra.get("weighted", {})
    ),
    "finetuning_curves": lambda shown: draw_finetuning(shown.comparison),
    "training": lambda shown: draw_trainings(shown.comparison, shown.histories),
}


def draw_all(shown: Shown) -> dict[str, bytes]:
    """Draws every picture there is data for.

    Returns:
        Name in the catalogue to the content of its PNG file.
    """
    figures = ((name, DRAWN[name](shown)) for name in tracked(list(DRAWN), "pictures"))
    return {name: png_of(figure) for name, figure in figures if figure is not None}


def png_of(figure: Figure) -> bytes:
    """Returns a figure as a PNG file, drawn once: where it has a layout engine, Matplotlib draws it twice.

    The figure's layout is settled then, and stays as it is.
    """
    png = io.BytesIO()
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)
    figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    return png.getvalue()
