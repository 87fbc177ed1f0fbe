"""The comparison as pictures: draws each, and writes its file.

Every picture is a `matplotlib.figure.Figure` of its own, without pyplot: nothing global is touched.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from reporting.plots.catalogue import PICTURES, Shown
from reporting.plots.layer_ranks import draw_layer_ranks
from reporting.plots.masks import draw_masks
from reporting.plots.spectra import draw_spectra
from reporting.plots.sweeps import draw_sweep
from reporting.plots.tradeoffs import draw_tradeoff
from reporting.plots.training import draw_finetuning, draw_training
from torch_lowrank.progress import tracked
from torch_lowrank.whole_files import write_whole

DPI = 100

DRAWN: dict[str, Callable[[Shown], Figure | None]] = {
    "dice_vs_params": lambda shown: draw_tradeoff(shown.comparison, "params"),
    "masks": lambda shown: draw_masks(shown.examples, shown.comparison) if shown.examples is not None else None,
    "dice_vs_macs": lambda shown: draw_tradeoff(shown.comparison, "macs"),
    "dice_vs_latency": lambda shown: draw_tradeoff(shown.comparison, "latency"),
    "svd_rank": lambda shown: draw_sweep(shown.comparison, "svd"),
    "arsvd_tau": lambda shown: draw_sweep(shown.comparison, "arsvd"),
    "budget": lambda shown: draw_sweep(shown.comparison, "budget"),
    "layer_ranks": lambda shown: draw_layer_ranks(shown.comparison),
    "spectra": lambda shown: draw_spectra(shown.comparison, "plain", shown.spectra.get("plain", {})),
    "weighted_spectra": lambda shown: draw_spectra(shown.comparison, "weighted", shown.spectra.get("weighted", {})),
    "finetuning_curves": lambda shown: draw_finetuning(shown.comparison),
    "training": lambda shown: draw_training(shown.history),
}


def write_plots(shown: Shown, folder: Path) -> list[Path]:
    """Draws every picture there is data for.

    Args:
        shown: What is known.
        folder: Where the PNG files go; pictures of an earlier comparison that have no data now are removed.

    Returns:
        The files, the most telling first.
    """
    written = []
    for name in tracked(list(PICTURES), "pictures"):
        file = folder / f"{name}.png"
        figure = DRAWN[name](shown)
        if figure is None:
            file.unlink(missing_ok=True)
            continue
        write_whole(file, png_of(figure))
        written.append(file)
    return written


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
