"""Which pictures there are of a comparison, and what to look for in each. `reporting.plots.draw` draws them."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        caption: What it shows and what to look for, one sentence without a full stop.
        wide: Whether it has many small parts and needs the full width of a page.
    """

    caption: str
    wide: bool = False


# file name without `.png` -> picture; the most telling first
PICTURES = {
    "dice_vs_bytes": Picture(
        "Dice against the bytes of the weights file: what fewer ranks and fewer bits make of the same bytes; the "
        "ringed ones are marked in the table",
    ),
    "dice_vs_params": Picture(
        "Dice against parameters: the further up and left, the better; ringed: the best trade-offs of the two. Bars: "
        "95 % intervals of each mean; whether two networks differ is seen in the column 'change', not in the bars",
    ),
    "masks": Picture(
        "Predicted masks beside the truth: look for areas outside the dashed outline and for outlines that stay "
        "empty. Best, typical and worst: by the baseline; lost most, or a false alarm where there is no lesion: by the "
        "recommended variant, or else the best",
        wide=True,
    ),
    "dice_vs_macs": Picture(
        "Dice against multiply-accumulates: whether fewer parameters also mean less computation",
    ),
    "dice_vs_latency": Picture(
        "Dice against the time of one image, relative to the baseline's: whether less computation makes the network "
        "faster, on the machine and with the threads that the axis names. Bars: 95 % intervals; a cross is "
        "not told apart from the baseline, and never among the best trade-offs",
    ),
    "svd_rank": Picture(
        "Quality and size against the SVD rank: look for the rank below which IoU falls",
    ),
    "arsvd_tau": Picture(
        "Quality and size against the ARSVD tau: look for the tau below which IoU falls",
    ),
    "budget": Picture(
        "Quality and size against the parameter budget: the higher curve makes more of the same parameters",
    ),
    "layer_ranks": Picture(
        "Rank of every layer in every variant: uniform columns give all layers the same rank, others give more where "
        "it matters",
        wide=True,
    ),
    "spectra": Picture(
        "Singular values of every layer, with the last one that variants keep: a layer whose curve falls steeply can "
        "be cut early. No mark: the layer stays dense",
        wide=True,
    ),
    "weighted_spectra": Picture(
        "The same, weighted by the curvature of the loss. No mark: the layer stays dense, or is cut by the other "
        "scheme",
        wide=True,
    ),
    "finetuning_curves": Picture(
        "Fine-tuning of the compressed networks: look for curves that still rise at the end; kept epochs are ringed",
    ),
    "training": Picture(
        "Training of the baseline, or every training where there are several: look for a validation loss that rises "
        "while the training loss falls",
    ),
}
