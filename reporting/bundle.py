"""The report bundle: all files that people open and programs read after a run, the networks apart."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from analysis.comparison import Comparison
from analysis.conclusions import answer, methods_answer, sizes_answer, trainings_answer
from analysis.equal_size import gain_text
from analysis.ranking import JUDGED
from analysis.table_rows import VariantRow, variant_rows
from models.deployment.records import Exports
from models.evaluation.results import EvaluationResult
from models.variant_spec import VariantSpec
from reporting.exports import exports_summary
from reporting.html.about import About
from reporting.html.report import render_report
from reporting.html.seen_images import SeenImages
from reporting.plots.catalogue import PICTURES
from reporting.summary import per_image_table, results_table, summarize, to_json
from torch_lowrank.io import StorageError, read_description
from torch_lowrank.whole_files import write_whole


@dataclasses.dataclass(frozen=True)
class ReportContent:
    """What the files of a run are made from.

    Attributes:
        comparison: All variants, the baseline among them.
        about: The training, the data, the configuration and the origin.
        pictures: Name in the catalogue of pictures to the content of its PNG file.
        seen: The test images, and what every variant predicts on them; None where that is not known.
    """

    comparison: Comparison
    about: About
    pictures: Mapping[str, bytes]
    seen: SeenImages | None = None

    def files(self) -> dict[str, bytes]:
        """Returns file name, relative to the folder of results, to content; what people look at comes first."""
        about = self.about
        exports = {} if about.exports is None else {"exports": exports_summary(about.exports, self.comparison)}
        trainings = {"trainings": list(about.trainings)} if about.trainings else {}
        summary = summarize(
            self.comparison, {"config": about.config, "provenance": about.provenance, **exports, **trainings}
        )
        return {
            "report.html": render_report(self.comparison, about, self.pictures, self.seen),
            **{_picture_file(name): self.pictures[name] for name in PICTURES if name in self.pictures},
            "experiment_summary.json": to_json(summary),
            "results.csv": results_table(self.comparison).encode(),
            "per_image.csv": per_image_table(self.comparison, about.manifest).encode(errors="backslashreplace"),
            "train_history.json": to_json(about.history),
            "dataset_manifest.json": to_json(about.manifest),
        }

    def description(self) -> str:
        """Returns the answer and the variants as Markdown."""
        lines = [f"**{answer(self.comparison)}**", ""]
        for sentence in (methods_answer, sizes_answer, trainings_answer):
            lines += [sentence(self.comparison), ""]
        lines += ["| variant | Dice | change | parameters | saved | MB |", "|---|---|---|---|---|---|"]
        for row in variant_rows(self.comparison):
            saved = "" if row.reduction_pct is None else f"{row.reduction_pct:.1f} %"
            cells = (row.name, _dice(row), gain_text(row.judged_change), f"{row.params:,}", saved, f"{row.size_mb:.3g}")
            lines.append(f"| {' | '.join(cells)} |")
        lines += [
            "",
            "Dice: of images with a lesion. Change: minus the baseline's over the same images, "
            f"{self.comparison.interval_name};",
            "* it excludes zero.",
            "",
        ]
        return "\n".join([*lines, f"    {self.about.provenance['command']}"])


@dataclasses.dataclass(frozen=True)
class ReportBundle:
    """The outcome of one run, as its artifact `comparison` keeps it.

    Attributes:
        results: All variants, the baseline among them.
        files: File name, relative to the folder of results, to content.
        runs: Variant to the id of its run in MLflow.
        view: The view of the comparison in MLflow's UI, to be appended to the UI's address.
        exports: What is known of the files to deploy, without their content; None where none were asked for.
    """

    results: list[EvaluationResult]
    files: dict[str, bytes]
    runs: dict[str, str]
    view: str
    exports: Exports | None = None

    def pages(self) -> list[str]:
        """Returns the names of the files that people look at: the report and the pictures."""
        return [name for name in self.files if PurePosixPath(name).suffix in (".html", ".png")]


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes the files of a bundle, each whole or not at all, and removes pictures that it does not have.

    Args:
        files: File name, relative to `folder`, to content.
        folder: The folder of results. Files in it that are not of a bundle are left alone.
    """
    for name in map(_picture_file, PICTURES):
        if name not in files:
            (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)


def remove_stale_networks(folder: Path, names: Sequence[str]) -> None:
    """Removes networks of variants that the run no longer has, so that the folder agrees with the summary."""
    for description in folder.glob("*/network.json"):
        if description.parent.name not in names and _is_variant(description.parent):
            shutil.rmtree(description.parent)


def _is_variant(folder: Path) -> bool:
    """Whether a folder is that of a variant, and not of a network that somebody has put beside them."""
    try:
        return VariantSpec.of_saved(read_description(folder)["about"]).name == folder.name
    except (StorageError, KeyError, TypeError, ValueError):
        return False


def _dice(row: VariantRow) -> str:
    value = row.metrics[JUDGED]
    return "-" if value is None else f"{value:.4f}"


def _picture_file(name: str) -> str:
    return f"plots/{name}.png"
