"""The folder of results: what people open and programs read after a run."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.results import EvaluationResult
from tracking.atomic import write_whole
from tracking.equal_size import equal_sizes_data
from tracking.plots import write_plots
from tracking.report import write_report
from tracking.summary import results_table, summarize, to_json

_VARIANT_NAMES = ("svd_rank_", "arsvd_tau_", "budget_", "svd_budget_", "arsvd_budget_")


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What one run found out.

    Attributes:
        results: All variants, the baseline among them.
        history: The training's curves.
        manifest: What the data set holds.
        config: The resolved configuration.
        provenance: Versions, commit, command.
    """

    results: Sequence[EvaluationResult]
    history: dict[str, Any]
    manifest: dict[str, Any]
    config: dict[str, Any]
    provenance: dict[str, str]

    def write(self, folder: Path) -> list[tuple[Path, str | None]]:
        """Writes all files but the networks; each appears whole or not at all.

        Returns:
            The files, and the sub-folder each belongs to.
        """
        about = {"equal_size": equal_sizes_data(self.results), "config": self.config, "provenance": self.provenance}
        contents = {
            "experiment_summary.json": to_json(summarize(self.results, about)),
            "results.csv": results_table(self.results).encode(),
            "train_history.json": to_json(self.history),
            "dataset_manifest.json": to_json(self.manifest),
        }
        plots = write_plots(list(self.results), self.history, folder / "plots")
        report = folder / "report.html"
        write_report(self.results, self.history, self.manifest, self.config, plots, report, self.provenance)
        for name, content in contents.items():
            write_whole(folder / name, content)
        return [(folder / name, None) for name in contents] + [(report, None)] + [(plot, "plots") for plot in plots]


def remove_stale_networks(folder: Path, names: Sequence[str]) -> None:
    """Removes networks of variants that the run no longer has, so that the folder agrees with the summary."""
    for description in folder.glob("*/network.json"):
        name = description.parent.name
        if name not in names and name.startswith(_VARIANT_NAMES):
            shutil.rmtree(description.parent)
