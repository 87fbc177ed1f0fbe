"""Runs a pipeline for a configuration: checks first, then ZenML, then the table on the screen."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from rich.console import Console
from zenml.models import PipelineRunResponse

from analysis.comparison import Comparison
from analysis.findings import Findings
from configs.schema import RunConfig
from materializers.folders import DamagedArtifactError
from models.checkpoint import load_checkpoint
from models.unet import UNet
from pipelines.comparison import comparison
from pipelines.devices import Devices
from pipelines.execution.abandoned_runs import mark_abandoned
from pipelines.execution.console import StepMessages
from pipelines.execution.failures import INPUT_ERRORS, InputError, OutputFolderError, RunFailedError, explained
from pipelines.execution.placement import is_remote, place_steps, read_settings
from pipelines.execution.registration import check_registration, register_chosen
from pipelines.execution.remote_results import bring_home, check_finished, told_by_its_machine
from pipelines.execution.repair import forget_damaged
from pipelines.execution.reuse_training import find_training
from pipelines.execution.runtime_values import launch
from pipelines.recompress import recompress, recompress_checkpoint
from reporting.console import print_comparison
from steps.caching import fix_sources
from torch_lowrank.ranks.budgets import BudgetError
from torch_lowrank.ranks.costs import mac_costs, parameter_costs, possible_schemes, smallest_share
from tracking.connectivity import ServiceError, check_mlflow, without_password
from tracking.mlflow_runs import lock_of
from tracking.registry import RegistrationError
from tracking.stack import tracking_uri

_MLFLOW_UI = "http://127.0.0.1:5000"
_WRITTEN = ("networks", "plots", "phantoms")  # folders of the folder of results


def run(config: RunConfig, root: Path, command: str) -> None:
    """Runs the pipeline that the configuration asks for and prints the comparison.

    Args:
        config: The run.
        root: The repository.
        command: The command line, for the report.

    Raises:
        InputError: If data, checkpoint or the run to reuse is wrong.
        RunFailedError: If a step failed; the message says why.
    """
    fix_sources()
    messages = StepMessages(config.verbose)
    messages.attach()
    try:
        with _reserved(config.out_dir), _told_what_is_replaced(config.out_dir):
            findings = _prepare_and_run(config, root, command, messages)
    except INPUT_ERRORS as error:
        raise InputError(str(error)) from error
    except ServiceError as error:
        raise RunFailedError(str(error)) from error
    except RuntimeError as error:
        raise explained(messages.failures, error) from error
    console, comparison = Console(), Comparison(findings.results)
    print_comparison(comparison, console)
    _print_warnings(config.out_dir, console)
    _print_places(config, root, findings.view, console)
    try:
        register_chosen(config.registration, comparison, findings.runs, tracking_uri(root))
    except RegistrationError as error:
        raise RunFailedError(str(error)) from error


def close() -> None:
    """Marks what an interrupt has left unfinished."""
    mark_abandoned("interrupted", own=True)


def _prepare_and_run(config: RunConfig, root: Path, command: str, messages: StepMessages) -> Findings:
    check_registration(config)
    remote = is_remote()
    devices = place_steps(config, remote)
    config = config.model_copy(update={"device": devices.default})  # as the report shows it
    if config.checkpoint is not None:
        config = _fitted_to(load_checkpoint(config.checkpoint), config)
    if config.reuse_training is None:
        _check_budgets(config)
    check_mlflow(tracking_uri(root), lock_of(tracking_uri(root), root))
    mark_abandoned("its process ended before it did")
    repaired: set[str] = set()
    while True:
        try:
            return _run(config, devices, root, command, remote)
        except RuntimeError:
            if not _repaired(messages, repaired):
                raise


def _repaired(messages: StepMessages, repaired: set[str]) -> bool:
    """Tells whether what failed was the reading of stored results that are damaged, and will be made again, once."""
    damaged = [cause for _, cause in messages.failures if isinstance(cause, DamagedArtifactError)]
    if not damaged or damaged[0].uri in repaired or not (forgotten := forget_damaged(damaged[0])):
        return False
    repaired.add(damaged[0].uri)
    print(f"damaged in the store, and made again: {', '.join(forgotten)}", file=sys.stderr)
    messages.failures.clear()
    return True


def _check_budgets(config: RunConfig) -> None:
    """Says before any training that a budget cannot be met by itself: it takes the network's shapes alone.

    Raises:
        BudgetError: If one cannot.
    """
    settings, shape = config.compression, (config.data.channels, *config.data.image_size)
    with torch.device("meta"):
        network = UNet(config.data.channels, **config.model.model_dump(exclude={"dropout"}))
    if settings.budgets:
        costs = parameter_costs(network, possible_schemes(network, settings.scheme))
        _check_budget("budgets", min(settings.budgets), smallest_share(costs), settings.scheme)
    if settings.mac_budgets:
        costs = mac_costs(network, possible_schemes(network, "auto"), shape)
        _check_budget("mac_budgets", min(settings.mac_budgets), smallest_share(costs), "auto")


def _check_budget(name: str, budget: float, smallest: float, scheme: str) -> None:
    if budget >= smallest:
        return
    unit = "parameters" if name == "budgets" else "multiply-accumulates"
    raise BudgetError(
        f"compression.{name} (--{name}): {budget:g} cannot be met, as rank 1 everywhere leaves "
        f"{math.ceil(smallest * 1e4) / 1e4:g} of the {unit} by the scheme {scheme}; ask for more"
        + ("" if scheme == "auto" else ", or try compression.scheme=auto"),
        smallest,
    )


def _run(config: RunConfig, devices: Devices, root: Path, command: str, remote: bool) -> Findings:
    runtime = launch(config, root, command, remote)
    options = {"extra": runtime.to_extra(), "enable_cache": not config.no_cache}
    if not remote:
        return _findings(_finished(config, devices, options))
    with told_by_its_machine(runtime.process):
        run = _finished(config, devices, options | read_settings(config))
    check_finished(run)
    findings = _findings(run)
    bring_home(run, findings, config.out_dir)
    return findings


def _finished(config: RunConfig, devices: Devices, options: dict[str, Any]) -> PipelineRunResponse:
    """Runs the pipeline that the configuration asks for."""
    if config.reuse_training is not None:
        training = find_training(config.reuse_training)
        print(training.describe(config), file=sys.stderr)
        ids = (training.dataset_id, training.network_id, training.history_id)
        return recompress.with_options(**options)(training.configure(config), devices, *ids)
    if config.checkpoint is not None:
        return recompress_checkpoint.with_options(**options)(config, devices)
    return comparison.with_options(**options)(config, devices)


def _findings(run: PipelineRunResponse) -> Findings:
    return run.steps["compare"].outputs["comparison"][0].load()


def _fitted_to(network: UNet, config: RunConfig) -> RunConfig:
    """Returns the configuration with the network's own architecture, and its channels where none were asked for."""
    arguments = network.arguments
    model = config.model.model_copy(update={key: arguments[key] for key in ("base_filters", "bilinear", "dropout")})
    if "channels" in config.data.model_fields_set:
        return config.model_copy(update={"model": model})
    data = config.data.model_copy(update={"channels": arguments["in_channels"]})
    return config.model_copy(update={"model": model, "data": data})


@contextmanager
def _reserved(folder: Path) -> Iterator[None]:
    """Holds the folder of results for one run at a time.

    Raises:
        OutputFolderError: If it cannot be written, or another run writes to it.
    """
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise OutputFolderError(f"another run writes to {folder}; wait for it, or choose another --out_dir") from error
    except OSError as error:
        reason = f"results cannot be written to {folder} ({error.strerror})"
        raise OutputFolderError(f"{reason}; choose another --out_dir") from error
    try:
        _remove_leftovers(folder)
        yield
    finally:
        lock.release()


@contextmanager
def _told_what_is_replaced(folder: Path) -> Iterator[None]:
    """Says which networks of earlier runs have made way for this run's."""
    before = _networks(folder)
    yield
    if gone := sorted(before - _networks(folder)):
        print(
            f"removed from {folder / 'networks'}, as this run has no such variants: {', '.join(gone)}", file=sys.stderr
        )


def _networks(folder: Path) -> set[str]:
    return {file.parent.name for file in folder.glob("networks/*/network.json")}


def _remove_leftovers(folder: Path) -> None:
    """Removes what a killed process was writing, where runs write; folders within may belong to other runs."""
    for place in (folder, *(folder / name for name in _WRITTEN)):
        for partial in place.glob(".*.partial"):
            if partial.is_dir() and not partial.is_symlink():
                shutil.rmtree(partial)
            else:
                partial.unlink()


def _print_warnings(folder: Path, console: Console) -> None:
    """Prints what is worth knowing of the data before their results are believed."""
    manifest = json.loads((folder / "dataset_manifest.json").read_bytes())
    for warning in manifest["warnings"]:
        console.print(f"note: {warning}", highlight=False, markup=False, soft_wrap=True)


def _print_places(config: RunConfig, root: Path, view: str, console: Console) -> None:
    folder, uri = config.out_dir.absolute(), without_password(tracking_uri(root))
    places: dict[str, object] = {
        "report": folder / "report.html",
        "results": folder / "experiment_summary.json",
        "MLflow": f"{uri if uri.startswith('http') else _MLFLOW_UI}/{view}",
        "ZenML": "make dashboard, or zenml pipeline runs list",
    }
    if uri == f"sqlite:///{root / 'mlflow.db'}":
        places["MLflow"] = f"{places['MLflow']} (after: make ui)"
    elif not uri.startswith("http"):
        places["MLflow"] = f"{places['MLflow']} (after: mlflow ui --backend-store-uri {uri})"
    console.print()
    for name, place in places.items():
        console.print(f"{name:<9} {place}", highlight=False, markup=False, soft_wrap=True)
