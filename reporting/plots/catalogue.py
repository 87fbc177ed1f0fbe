"""Which pictures there are of a comparison, what to look for in each, and which of a folder are right already.

Drawing takes seconds, Matplotlib's import among them: pictures are drawn again only where what they show has changed,
the code that draws them, or their files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from analysis.comparison import Comparison
from analysis.findings import Examples, SingularValues
from torch_lowrank.whole_files import write_whole

_SEAL = ".drawn.json"  # beside the pictures: what they were drawn from, and the digest of each file
_SOURCES = Path(__file__).resolve().parent


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

    def digest(self) -> str:
        """Returns a digest of all that decides the pictures: the content, and the code that draws it."""
        results = [result.to_dict() for result in self.comparison.results]
        spectra = {
            kind: {name: dataclasses.asdict(each) for name, each in layers.items()}
            for kind, layers in self.spectra.items()
        }
        examples = dataclasses.asdict(self.examples) if self.examples is not None else None
        content = [results, self.history, spectra, examples, version("matplotlib"), version("numpy")]
        digest = hashlib.sha256(json.dumps(content, default=_plain).encode())
        for file in sorted(_SOURCES.glob("*.py")):
            digest.update(file.read_bytes())
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        caption: What it shows, and what to look for.
        wide: Whether it is of many small parts, and needs the width of a page.
    """

    caption: str
    wide: bool = False


# the most telling first
PICTURES = {
    "dice_vs_params": Picture(
        "Dice against parameters: the further up and left, the better; no other variant beats the ringed ones. Bars: "
        "95 % intervals of each mean; whether two networks differ is seen in the column 'change', not in the bars",
    ),
    "masks": Picture(
        "Predicted masks beside the truth: look for areas outside of the dashed outline and for outlines that stay "
        "empty. Best, typical and worst: by the baseline; lost most: by the recommended variant, or else the best",
        wide=True,
    ),
    "dice_vs_macs": Picture(
        "Dice against multiply-accumulates: whether fewer parameters also mean less computation",
    ),
    "dice_vs_latency": Picture(
        "Dice against measured time: whether less computation makes the network faster on this machine; each variant "
        "was timed when it was first evaluated",
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
        "Rank of every layer in every variant: uniform columns spend ranks alike, others where they matter",
        wide=True,
    ),
    "spectra": Picture(
        "Singular values of every layer, with the last that variants keep: a layer whose curve falls steeply can be "
        "cut early. No mark: the layer stays dense",
        wide=True,
    ),
    "weighted_spectra": Picture(
        "The same, weighted by what a change does to the loss. No mark: the layer stays dense, or is cut by the other "
        "scheme",
        wide=True,
    ),
    "finetuning_curves": Picture(
        "Fine-tuning of the compressed networks: look for curves that still rise at the end; kept epochs are ringed",
    ),
    "training": Picture(
        "Training of the baseline: look for a validation loss that rises while the training loss falls",
    ),
}


def drawn_pictures(shown: Shown, folder: Path) -> list[Path]:
    """Makes a folder hold the pictures of a comparison; those that are right already are not drawn again.

    Args:
        shown: What is known.
        folder: Where the PNG files are.

    Returns:
        The files, the most telling first.
    """
    digest, seal = shown.digest(), folder / _SEAL
    found = {file.stem: _digest_of(file) for name in PICTURES if (file := folder / f"{name}.png").is_file()}
    if _read_seal(seal) == {"shown": digest, "files": found}:
        return [folder / f"{name}.png" for name in found]
    from reporting.plots.write import write_plots  # noqa: PLC0415 - Matplotlib, which is not needed where nothing is drawn

    written = write_plots(shown, folder)
    content = {"shown": digest, "files": {file.stem: _digest_of(file) for file in written}}
    write_whole(seal, json.dumps(content).encode())
    return written


def _read_seal(file: Path) -> object:
    """Returns its content; None, which no pictures agree with, where it is missing or damaged."""
    try:
        return json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _plain(value: object) -> object:
    """Returns an array as its shape and the digest of its bytes; of anything else, what can be told apart by text."""
    if isinstance(value, np.ndarray):
        return [value.shape, str(value.dtype), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    return repr(value)
