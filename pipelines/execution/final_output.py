"""What is printed when a run has finished: the comparison, notes about the data, and where the results are."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from analysis.comparison import Comparison
from configs.schema import RunConfig
from models.deployment.layout import EXPORTS
from models.deployment.records import Exports
from reporting.console import print_comparison
from reporting.exports import print_exports
from tracking.addresses import without_password
from tracking.stack import tracking_uri

_MLFLOW_UI = "http://127.0.0.1:5000"


def print_results(
    config: RunConfig, root: Path, comparison: Comparison, view: str, exports: Exports | None = None
) -> None:
    """Prints the table of the comparison, warnings and notes about the data, and the places of the results.

    Args:
        config: The run.
        root: The repository.
        comparison: All variants.
        view: Path of MLflow's page of the comparison.
        exports: The files to deploy, None where none were asked for.
    """
    console = Console()
    print_comparison(comparison, console)
    if exports is not None:
        print_exports(exports, comparison, console)
    manifest = json.loads((config.out_dir / "dataset_manifest.json").read_bytes())
    for warning in manifest["warnings"]:
        _print_line(console, f"warning: {warning}", style="bold yellow")
    for note in manifest["notes"]:
        _print_line(console, f"note: {note}")
    console.print()
    places = _places(config, root, view)
    if exports is not None and exports.variant is not None:
        places["files"] = config.out_dir.absolute() / EXPORTS / exports.variant
    for name, place in places.items():
        _print_line(console, f"{name:<9} {place}")


def _places(config: RunConfig, root: Path, view: str) -> dict[str, object]:
    folder, uri = config.out_dir.absolute(), without_password(tracking_uri(root))
    mlflow = f"{uri if uri.startswith('http') else _MLFLOW_UI}/{view}"
    if uri == f"sqlite:///{root / 'mlflow.db'}":
        mlflow += " (after: make ui)"
    elif not uri.startswith("http"):
        mlflow += f" (after: mlflow ui --backend-store-uri {uri})"
    return {
        "report": folder / "report.html",
        "results": folder / "experiment_summary.json",
        "MLflow": mlflow,
        "ZenML": "make dashboard, or zenml pipeline runs list",
    }


def _print_line(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)
