"""Runs a pipeline for a configuration: checks first, then ZenML, then the table on the screen."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from rich.console import Console

from configs.schema import RunConfig
from dataset.errors import DatasetError
from dataset.phantom import write_phantoms
from models.checkpoint import CheckpointError, load_checkpoint
from models.results import EvaluationResult
from pipelines.comparison import comparison
from pipelines.earlier import NoTraining, find_training
from pipelines.recompress import recompress, recompress_checkpoint
from steps.runtime import Runtime
from tracking.stack import prepare_stack, tracking_uri
from tracking.table import print_table

PHANTOM_COUNTS = {"train": 300, "valid": 60, "test": 100}


class InputError(ValueError):
    """What was given is wrong: data, checkpoint or the run to reuse."""


class RunFailed(RuntimeError):
    """A step failed."""


def run(config: RunConfig, root: Path, command: str) -> None:
    """Runs the pipeline that the configuration asks for and prints the comparison.

    Args:
        config: The run.
        root: The repository.
        command: The command line, for the report.

    Raises:
        InputError: If data, checkpoint or the run to reuse is wrong.
        RunFailed: If a step failed; the message says why.
    """
    console = Console()
    try:
        config = config.model_copy(update={"device": _device(config.device), "data_root": _data_root(config)})
        if config.checkpoint is not None:
            load_checkpoint(config.checkpoint)
        prepare_stack(root)
        results = _run(config, command)
    except (DatasetError, CheckpointError, NoTraining) as error:
        raise InputError(str(error)) from error
    print_table(results, console)
    _print_places(config, root, console)


def _run(config: RunConfig, command: str) -> list[EvaluationResult]:
    runtime = Runtime(
        data_root=str(config.data_root),
        out_dir=str(config.out_dir.absolute()),
        num_workers=config.num_workers,
        resume=not config.no_cache,
        command=command,
        checkpoint=str(config.checkpoint.absolute()) if config.checkpoint else None,
    )
    options = {"extra": runtime.to_extra(), "enable_cache": not config.no_cache}
    if config.reuse_training is not None:
        training = find_training(config.reuse_training)
        ids = (training.dataset_id, training.network_id, training.history_id)
        finished = recompress.with_options(**options)(training.configure(config), *ids)
    elif config.checkpoint is not None:
        finished = recompress_checkpoint.with_options(**options)(config)
    else:
        finished = comparison.with_options(**options)(config)
    stored = finished.steps["compare"].outputs["comparison"][0].load()
    return [EvaluationResult.from_dict(result) for result in stored]


def _device(wanted: str) -> str:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        print("CUDA is not available; going on with the CPU", file=sys.stderr)
    return "cuda" if available and wanted != "cpu" else "cpu"


def _data_root(config: RunConfig) -> Path | None:
    """Returns the data folder; the phantoms, made where they are missing, if none is given."""
    if config.reuse_training is not None:
        return None
    if config.data_root is None:
        return write_phantoms(config.out_dir.absolute() / "phantoms", config.seed, PHANTOM_COUNTS)
    return config.data_root.absolute()


def _print_places(config: RunConfig, root: Path, console: Console) -> None:
    folder = config.out_dir.absolute()
    places = {
        "results": folder / "experiment_summary.json",
        "report": folder / "report.html",
        "MLflow": f"mlflow ui --backend-store-uri {tracking_uri(root)}",
        "ZenML": "zenml pipeline runs list",
    }
    console.print()
    for name, place in places.items():
        console.print(f"{name:<8} {place}", highlight=False, soft_wrap=True)
