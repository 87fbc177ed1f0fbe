"""Train a U-Net, compress it by SVD and ARSVD, compare: the command line of the pipeline."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from configs.loading import ConfigError, load_config

if TYPE_CHECKING:
    from configs.schema import RunConfig

ROOT = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    """Runs the pipeline.

    Returns:
        The exit status: 0 done, 1 the run failed, 2 the command line or the data is wrong, 130 interrupted.
    """
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        return _fail("interrupted; finished steps are kept and will be reused", 130)


def _main(arguments: list[str]) -> int:
    try:
        config = load_config(arguments)
    except ConfigError as error:
        return _fail(str(error), 2)
    _set_environment(config.verbose)
    from pipelines.run import InputError, RunFailedError, run  # noqa: PLC0415 - seconds of imports, after the flags are right

    if not config.verbose:
        sys.excepthook = _say_uncaught
    try:
        run(config, ROOT, command=shlex.join(["python", "run_pipeline.py", *arguments]))
    except InputError as error:
        return _fail(str(error), 2, config)
    except RunFailedError as error:
        return _fail(str(error), 1, config)
    return 0


def _fail(message: str, status: int, config: RunConfig | None = None) -> int:
    if config is not None and config.verbose:
        logging.getLogger(__name__).exception("the run failed")
    print(f"error: {_printable(message)}", file=sys.stderr)
    return status


def _printable(text: str) -> str:
    """Returns a text in which what a terminal would obey, from a file's name for example, is written out."""
    return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in text)


def _say_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Says in a sentence what no part of the program expected; Python then exits with status 1."""
    print(f"error: {kind.__name__}: {error}; --verbose shows where", file=sys.stderr)


def _set_environment(verbose: bool) -> None:
    """Switches telemetry off, and the libraries' chatter too unless everything is wanted; before they are imported."""
    # Threads that wait must not spin: on a machine that others use too, spinning made training several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("ZENML_ANALYTICS_OPT_IN", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    if not sys.stdout.isatty():
        os.environ.setdefault("ZENML_LOGGING_COLORS_DISABLED", "true")
    if not verbose:
        os.environ.setdefault("ZENML_LOGGING_VERBOSITY", "ERROR")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        logging.getLogger("alembic").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
