"""The comparison as pictures: which there are, what to look for in each, and their files.

Every picture is a `matplotlib.figure.Figure` of its own, without pyplot: nothing global is touched.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from models.findings import Examples, SingularValues
from models.progress import tracked
from tracking.atomic import write_whole
from tracking.comparison import Comparison
from tracking.plot_masks import draw_masks
from tracking.plot_ranks import draw_layer_ranks
from tracking.plot_spectra import draw_spectra
from tracking.plot_sweeps import draw_sweep
from tracking.plot_tradeoffs import draw_tradeoff
from tracking.plot_training import draw_finetuning, draw_training

DPI = 100
CAPTIONS = {
    "dice_vs_params": "Dice against parameters: the further up and left, the better; the ringed variants are beaten "
    "by no other, and where bars overlap widely the difference may be chance",
    "masks": "Predicted masks beside the truth: look for areas outside of the dashed outline and for outlines that "
    "stay empty",
    "dice_vs_macs": "Dice against multiply-accumulates: whether fewer parameters also mean less computation",
    "dice_vs_latency": "Dice against measured time: whether less computation makes the network faster on this machine",
    "svd_rank": "Quality and size against the SVD rank: look for the rank below which IoU leaves the baseline's band",
    "arsvd_tau": "Quality and size against the ARSVD tau: look for the tau below which IoU leaves the baseline's band",
    "budget": "Quality and size against the parameter budget: the higher curve makes more of the same parameters",
    "layer_ranks": "Rank of every layer in every variant: uniform columns spend ranks alike, others where they matter",
    "spectra": "Singular values of every layer, with the last that variants keep: a layer whose curve falls steeply "
    "can be cut early",
    "weighted_spectra": "The same, weighted by what a change does to the loss: budgets cut all layers at a similar "
    "rise of the loss for each parameter",
    "finetuning_curves": "Fine-tuning of the compressed networks: look for curves that still rise at the end; the "
    "kept epochs are ringed",
    "training": "Training of the baseline: look for a validation loss that rises while the training loss falls",
}
_RETIRED = ("layer_ranks_svd", "layer_ranks_arsvd", "layer_ranks_budget")


def write_plots(
    comparison: Comparison,
    history: Mapping,
    folder: Path,
    *,
    spectra: Mapping[str, Mapping[str, SingularValues]] | None = None,
    examples: Examples | None = None,
) -> list[Path]:
    """Draws every picture there is data for.

    Args:
        comparison: The evaluated variants; the baseline alone is enough.
        history: Training history, `{"epochs": [{"epoch", "train_loss", "valid_loss", "valid_dice"}], "best_epoch"}`;
            other keys are ignored, an empty one is fine.
        folder: Where the PNG files go; pictures of an earlier comparison that have no data now are removed.
        spectra: `plain` and `weighted` to layer to singular values.
        examples: Predictions on a few images.

    Returns:
        The files, the most telling first.
    """
    for name in _RETIRED:
        (folder / f"{name}.png").unlink(missing_ok=True)
    drawings = _drawings(comparison, history, spectra or {}, examples)
    written = []
    for name in tracked(list(CAPTIONS), "pictures"):
        file = folder / f"{name}.png"
        figure = drawings[name]()
        if figure is None:
            file.unlink(missing_ok=True)
            continue
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        write_whole(file, png.getvalue())
        written.append(file)
    return written


def _drawings(
    comparison: Comparison,
    history: Mapping,
    spectra: Mapping[str, Mapping[str, SingularValues]],
    examples: Examples | None,
) -> dict[str, Callable[[], Figure | None]]:
    return {
        "dice_vs_params": lambda: draw_tradeoff(comparison, "params"),
        "masks": lambda: draw_masks(examples, comparison) if examples is not None else None,
        "dice_vs_macs": lambda: draw_tradeoff(comparison, "macs"),
        "dice_vs_latency": lambda: draw_tradeoff(comparison, "latency"),
        "svd_rank": lambda: draw_sweep(comparison, "svd"),
        "arsvd_tau": lambda: draw_sweep(comparison, "arsvd"),
        "budget": lambda: draw_sweep(comparison, "budget"),
        "layer_ranks": lambda: draw_layer_ranks(comparison),
        "spectra": lambda: draw_spectra(comparison, "plain", spectra.get("plain", {})),
        "weighted_spectra": lambda: draw_spectra(comparison, "weighted", spectra.get("weighted", {})),
        "finetuning_curves": lambda: draw_finetuning(comparison),
        "training": lambda: draw_training(history),
    }
