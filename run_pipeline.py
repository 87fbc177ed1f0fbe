"""Train a U-Net, compress it by SVD and ARSVD, compare, predict: the command line of the pipelines."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from configs.loading import ConfigError, load_config, network_title, stored_as
from pipelines.checks.first_look import faults_of_places
from pipelines.checks.prediction_places import prediction_outline
from pipelines.execution.interrupts import Interrupts
from tracking.connectivity import check_zenml
from tracking.errors import ServiceError, first_line

if TYPE_CHECKING:
    from configs.schema import RunConfig

ROOT = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    """Runs the pipeline.

    Returns:
        The exit status: 0 done, 1 the run failed, 2 the command line or the data is wrong, 130 or 143 interrupted.
    """
    status = 1
    with Interrupts() as interrupts:
        status = _main(arguments, interrupts)
    return status if interrupts.signal is None else interrupts.end()


def _main(arguments: list[str], interrupts: Interrupts) -> int:
    try:
        config = load_config(arguments)
    except ConfigError as error:
        return _fail(str(error), 2)
    if faults := faults_of_places(config):
        return _fail("\n".join(faults), 2)
    print(_outline(config), file=sys.stderr, flush=True)
    _set_environment(config.verbose)
    try:
        check_zenml()
    except ServiceError as error:
        return _fail(str(error), 1, config)
    try:  # seconds of imports, after all that can be wrong with the flags
        from tracking.stack import prepare_stack  # noqa: PLC0415

        prepare_stack(ROOT)
        from pipelines.execution.abandoned_runs import mark_interrupted  # noqa: PLC0415
        from pipelines.execution.failures import InputError, RunFailedError  # noqa: PLC0415

        if config.prediction.images is None:
            from pipelines.execution.run import run  # noqa: PLC0415
        else:
            from pipelines.prediction.run_prediction import run  # noqa: PLC0415
    finally:
        if not config.verbose:
            sys.excepthook = _say_uncaught  # ZenML has set its own
    interrupts.clean_up = mark_interrupted
    try:
        run(config, ROOT, command=shlex.join(["python", "run_pipeline.py", *map(_portable, arguments)]))
    except InputError as error:
        return _fail(str(error), 2, config)
    except RunFailedError as error:
        return _fail(str(error), 1, config)
    return 0


def _outline(config: RunConfig) -> str:
    """Returns in a line what the run is about: the libraries then take seconds to load, in which nothing is seen."""
    if config.prediction.images is not None:
        return _printable(prediction_outline(config))
    data = config.data_root or "built-in phantoms (no --data_root)"
    if config.reuse_training is not None:
        about = f"data and network of an earlier training ({config.reuse_training})"
    elif config.checkpoint is not None:
        about = f"data: {data}; network: {config.checkpoint}"
    else:
        about = f"data: {data}, as {stored_as(config.data)}; network: {network_title(config.model)}"
    seeds = f"; seeds: {', '.join(map(str, config.seeds))}" if len(config.seeds) > 1 else ""
    return _printable(f"{about}{seeds}; results: {config.out_dir}")


def _fail(message: str, status: int, config: RunConfig | None = None) -> int:
    if config is not None and config.verbose:
        logging.getLogger(__name__).exception("the run failed")
    print(f"error: {_printable(message)}", file=sys.stderr)
    return status


def _portable(argument: str) -> str:
    """Returns an argument for the report: without the folders of this machine, which say whose it is."""
    name, equals, value = argument.rpartition("=")
    return f"{name}{equals}.../{Path(value).name}" if Path(value).is_absolute() else argument


def _printable(text: str) -> str:
    """Returns a text in which what a terminal would obey, from a file's name for example, is written out."""
    return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in text)


def _say_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Says in a sentence what no part of the program expected; Python then exits with status 1."""
    print(f"error: {kind.__name__}: {_printable(first_line(error))}; --verbose shows where", file=sys.stderr)


def _set_environment(verbose: bool) -> None:
    """Switches telemetry off, and the libraries' chatter too unless everything is wanted; before they are imported."""
    # Threads that wait must not spin: on a machine that others use too, spinning made training several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("ZENML_ANALYTICS_OPT_IN", "false")
    # ZenML remembers so many steps of a run; a step that needs an older one fails, as pictures of 40 variants would.
    os.environ.setdefault("ZENML_EXECUTION_CONTEXT_STEP_RUN_CACHE_SIZE", "1000000")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    # A few kilobytes can claim to be an image that fills the memory.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(8192 * 8192))
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    if not sys.stdout.isatty():
        os.environ.setdefault("ZENML_LOGGING_COLORS_DISABLED", "true")
    if not verbose:
        os.environ.setdefault("ZENML_LOGGING_VERBOSITY", "ERROR")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        logging.getLogger("alembic").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
