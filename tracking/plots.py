"""The comparison as pictures: which there are, what to look for in each, and their files.

Every picture is a `matplotlib.figure.Figure` of its own, without pyplot: nothing global is touched.
"""

from __future__ import annotations

import dataclasses
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


@dataclasses.dataclass(frozen=True)
class Shown:
    """What pictures are drawn from.

    Attributes:
        comparison: The evaluated variants; the baseline alone is enough.
        history: Training history, `{"epochs": [{"epoch", "train_loss", "valid_loss", "valid_dice"}], "best_epoch"}`;
            other keys are ignored, an empty one is fine.
        spectra: `plain` and `weighted` to layer to singular values.
        examples: Predictions on a few images, None where there are none.
    """

    comparison: Comparison
    history: Mapping
    spectra: Mapping[str, Mapping[str, SingularValues]] = dataclasses.field(default_factory=dict)
    examples: Examples | None = None


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        caption: What it shows, and what to look for.
        draw: Draws it; None where there is no data for it.
        wide: Whether it is of many small parts, and needs the width of a page.
    """

    caption: str
    draw: Callable[[Shown], Figure | None]
    wide: bool = False


# the most telling first
PICTURES = {
    "dice_vs_params": Picture(
        "Dice against parameters: the further up and left, the better; no other variant beats the ringed ones. Bars: "
        "95 % intervals of each mean; whether two networks differ is seen in the column 'change', not in the bars",
        lambda shown: draw_tradeoff(shown.comparison, "params"),
    ),
    "masks": Picture(
        "Predicted masks beside the truth: look for areas outside of the dashed outline and for outlines that stay "
        "empty. Best, typical and worst: by the baseline; lost most: by the recommended variant, or else the best",
        lambda shown: draw_masks(shown.examples, shown.comparison) if shown.examples is not None else None,
        wide=True,
    ),
    "dice_vs_macs": Picture(
        "Dice against multiply-accumulates: whether fewer parameters also mean less computation",
        lambda shown: draw_tradeoff(shown.comparison, "macs"),
    ),
    "dice_vs_latency": Picture(
        "Dice against measured time: whether less computation makes the network faster on this machine; each variant "
        "was timed when it was first evaluated",
        lambda shown: draw_tradeoff(shown.comparison, "latency"),
    ),
    "svd_rank": Picture(
        "Quality and size against the SVD rank: look for the rank below which IoU falls",
        lambda shown: draw_sweep(shown.comparison, "svd"),
    ),
    "arsvd_tau": Picture(
        "Quality and size against the ARSVD tau: look for the tau below which IoU falls",
        lambda shown: draw_sweep(shown.comparison, "arsvd"),
    ),
    "budget": Picture(
        "Quality and size against the parameter budget: the higher curve makes more of the same parameters",
        lambda shown: draw_sweep(shown.comparison, "budget"),
    ),
    "layer_ranks": Picture(
        "Rank of every layer in every variant: uniform columns spend ranks alike, others where they matter",
        lambda shown: draw_layer_ranks(shown.comparison),
        wide=True,
    ),
    "spectra": Picture(
        "Singular values of every layer, with the last that variants keep: a layer whose curve falls steeply can be "
        "cut early. No mark: the layer stays dense",
        lambda shown: draw_spectra(shown.comparison, "plain", shown.spectra.get("plain", {})),
        wide=True,
    ),
    "weighted_spectra": Picture(
        "The same, weighted by what a change does to the loss. No mark: the layer stays dense, or is cut by the other "
        "scheme",
        lambda shown: draw_spectra(shown.comparison, "weighted", shown.spectra.get("weighted", {})),
        wide=True,
    ),
    "finetuning_curves": Picture(
        "Fine-tuning of the compressed networks: look for curves that still rise at the end; kept epochs are ringed",
        lambda shown: draw_finetuning(shown.comparison),
    ),
    "training": Picture(
        "Training of the baseline: look for a validation loss that rises while the training loss falls",
        lambda shown: draw_training(shown.history),
    ),
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
        figure = PICTURES[name].draw(shown)
        if figure is None:
            file.unlink(missing_ok=True)
            continue
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        write_whole(file, png.getvalue())
        written.append(file)
    return written
