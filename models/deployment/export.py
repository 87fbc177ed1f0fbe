"""A variant as files to deploy: made, opened again, measured, and left out where they compute something else."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.deployment.deployed import deployed
from models.deployment.errors import ExportError, export_errors
from models.deployment.layout import PLACES
from models.deployment.make import Made, Maker
from models.deployment.measure import Judging, Opened, largest, measure
from models.deployment.options import Format
from models.deployment.records import ExportedFile, Exports, Measured
from models.deployment.runtimes import opened, run_module
from models.variant import Variant
from torch_lowrank.whole_files import write_whole

# Of a probability. Runtimes round float32 in another order, which makes differences of about 1e-6 (measured); a mistake
# in the file (another mean, an axis exchanged, a layer left out) makes differences of 0.01 to 1. A pixel can only get
# another label where its probability is this near to a tie.
TOLERANCE = 1e-3
ROUNDED: tuple[Format, ...] = ("onnx_w8", "onnx_int8")  # differ by nature, and are judged by their Dice


def export_variant(
    variant: Variant, formats: Sequence[Format], calibration: np.ndarray, labels: Sequence[str], judging: Judging
) -> Exports:
    """Makes files of a variant; one that cannot be made, or computes something else, is left out, and its fault kept.

    Args:
        variant: The network, on the CPU.
        formats: What to make.
        calibration: Training images uint8 (N, H, W, C), which give activations in 8 bits their ranges.
        labels: Names of the labels that are not background, by their number.
        judging: The images that files are judged with.
    """
    maker, made, faults = Maker(variant, calibration, labels), dict[Format, Made](), dict[str, str]()
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Opened] = {}
        for kind in formats:
            try:
                made[kind] = maker.make(kind)
                files[kind] = _opened_again(kind, made[kind], Path(folder), variant, judging)
            except ExportError as error:
                faults[kind] = str(error)
        metrics, latency, measured = measure(variant, files, judging)
    faults |= {kind: fault for kind in files if (fault := _fault(kind, measured[kind], variant.name)) is not None}
    entries = [_entry(kind, made.get(kind), measured.get(kind), faults.get(kind)) for kind in formats]
    content = {name: file for kind in formats if kind not in faults for name, file in made[kind].files.items()}
    return Exports(variant.name, metrics, latency, entries, content)


def _opened_again(kind: Format, made: Made, folder: Path, variant: Variant, judging: Judging) -> Opened:
    """Writes files and opens them, as their user does; tries them on an image of another size, if they take any.

    Raises:
        ExportError: The runtime cannot open or run them, or they compute something else.
    """
    for name, content in made.files.items():
        write_whole(folder / name, content)
    run = opened(kind, folder, judging.threads)
    image, multiple = np.array(judging.images[:1]), made.sizes.multiple or 0
    other = np.pad(image, ((0, 0), (0, multiple), (0, 3 * multiple), (0, 0)), mode="wrap")
    shape = f"{other.shape[1]}x{other.shape[2]}"
    with export_errors(f"{kind} of {variant.name} cannot be run on an image of {shape}", folder):
        found = run(other)
    if not multiple:
        return Opened(run, made.sizes.batch)
    expected = run_module(deployed(variant), other)
    if found.shape != expected.shape or not largest(torch.from_numpy(found - expected)) <= _allowed(kind):
        raise ExportError(f"{kind} does not compute what {variant.name} does on an image of {shape}")
    return Opened(run, made.sizes.batch)


def _fault(kind: str, measured: Measured, variant: str) -> str | None:
    """Returns why a file is not handed out, None where it is."""
    if measured.max_difference <= _allowed(kind):
        return None
    if not math.isfinite(measured.max_difference):
        return f"{kind} does not compute what {variant} does: on the test images it gives NaN or infinity; use another"
    return (
        f"{kind} does not compute what {variant} does: a probability on the test images differs by "
        f"{measured.max_difference:.2g}, more than {TOLERANCE:g}, so that the file is not handed out; its runtime "
        "computes an operation of the network in another way"
    )


def _allowed(kind: str) -> float:
    """Returns the largest difference of a probability with which a file of a format is handed out."""
    return sys.float_info.max if kind in ROUNDED else TOLERANCE


def _entry(kind: Format, made: Made | None, measured: Measured | None, fault: str | None) -> ExportedFile:
    size = None if made is None else sum(map(len, made.files.values()))
    takes = None if made is None else made.sizes.describe()
    return ExportedFile(kind, PLACES[kind], size, takes, measured, fault)
