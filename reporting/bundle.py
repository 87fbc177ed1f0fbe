"""The folder of results: what people open and programs read after a run."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.comparison import Comparison
from analysis.conclusions import answer, methods_answer
from analysis.equal_size import gain_text
from analysis.findings import Examples, SingularValues
from analysis.table_rows import variant_rows
from reporting.html.report import About, write_report
from reporting.plots.catalogue import Shown, drawn_pictures
from reporting.summary import results_table, summarize, to_json
from torch_lowrank.whole_files import write_whole

_VARIANT_NAMES = ("svd_rank_", "arsvd_tau_", "budget_", "svd_budget_", "arsvd_budget_")


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What one run found out.

    Attributes:
        comparison: All variants, the baseline among them.
        history: The training's curves.
        manifest: What the data set holds.
        config: The resolved configuration.
        provenance: Versions, commit, command.
        spectra: `plain` and `weighted`, where they were needed: layer to its singular values.
        examples: What some variants predict on a few images.
    """

    comparison: Comparison
    history: dict[str, Any]
    manifest: dict[str, Any]
    config: dict[str, Any]
    provenance: dict[str, str]
    spectra: Mapping[str, Mapping[str, SingularValues]]
    examples: Examples

    def write(self, folder: Path) -> list[tuple[Path, str | None]]:
        """Writes all files but the networks; each appears whole or not at all.

        Returns:
            The files, and the sub-folder each belongs to.
        """
        contents = {
            "experiment_summary.json": to_json(
                summarize(self.comparison, {"config": self.config, "provenance": self.provenance})
            ),
            "results.csv": results_table(self.comparison).encode(),
            "train_history.json": to_json(self.history),
            "dataset_manifest.json": to_json(self.manifest),
        }
        plots = drawn_pictures(Shown(self.comparison, self.history, self.spectra, self.examples), folder / "plots")
        report = folder / "report.html"
        about = About(self.history, self.manifest, self.config, self.provenance)
        write_report(self.comparison, about, plots, report)
        for name, content in contents.items():
            write_whole(folder / name, content)
        return [(report, None)] + [(folder / name, None) for name in contents] + [(plot, "plots") for plot in plots]

    def description(self) -> str:
        """Returns the answer and the variants as Markdown."""
        lines = [f"**{answer(self.comparison)}**", "", methods_answer(self.comparison), ""]
        lines += ["| variant | Dice | change | parameters | saved |", "|---|---|---|---|---|"]
        for row in variant_rows(self.comparison):
            saved = "" if row.reduction_pct is None else f"{row.reduction_pct:.1f} %"
            cells = (row.name, f"{row.metrics['dice']:.4f}", gain_text(row.dice_change), f"{row.params:,}", saved)
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", "Change: Dice minus the baseline's over the same images, 95 % interval; * it excludes zero.", ""]
        return "\n".join([*lines, f"    {self.provenance['command']}"])


def remove_stale_networks(folder: Path, names: Sequence[str]) -> None:
    """Removes networks of variants that the run no longer has, so that the folder agrees with the summary."""
    for description in folder.glob("*/network.json"):
        name = description.parent.name
        if name not in names and name.startswith(_VARIANT_NAMES):
            shutil.rmtree(description.parent)
