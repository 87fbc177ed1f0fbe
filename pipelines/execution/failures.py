"""The errors that end a run, and the messages that users see of them."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dataset.errors import DatasetError
from models.checkpoint_file import CheckpointError
from models.deployment.errors import ExportError
from models.network_files import NetworkFilesError
from models.networks.errors import NetworkError
from models.pruning.channels import PruningError
from models.training.options import TrainingError
from models.variant import VariantError
from pipelines.checks.run_settings import SettingsError
from pipelines.execution.output_folder import OutputFolderError
from pipelines.execution.reuse_training import TrainingNotFoundError
from pipelines.training_origin import OtherDataError
from reporting.prediction_folder import PredictionFolderError
from torch_lowrank.ranks.budgets import BudgetError
from tracking.errors import ServiceError, first_line
from tracking.model_files import ModelFilesError
from tracking.registry import RegistrationError


class InputError(ValueError):
    """The data, the checkpoint or the run to reuse is wrong."""


class RunFailedError(RuntimeError):
    """A step failed."""


INPUT_ERRORS = (
    OutputFolderError,
    SettingsError,
    DatasetError,
    CheckpointError,
    NetworkError,
    TrainingNotFoundError,
    OtherDataError,
    VariantError,
    BudgetError,
    PruningError,
    RegistrationError,
    ModelFilesError,
    NetworkFilesError,
    PredictionFolderError,
    ExportError,
)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def explained(failures: Sequence[tuple[str, BaseException]]) -> Iterator[None]:
    """Turns the errors of a run into those that users see.

    Args:
        failures: Name of the step and exception of each step that has failed, as they come.

    Raises:
        InputError: What was given is wrong.
        RunFailedError: The run failed.
    """
    try:
        yield
    except INPUT_ERRORS as error:
        raise InputError(str(error)) from error
    except ServiceError as error:
        raise RunFailedError(str(error)) from error
    except RuntimeError as error:
        raise explain_failure(failures, error) from error


def explain_failure(failures: Sequence[tuple[str, BaseException]], error: RuntimeError) -> InputError | RunFailedError:
    """Returns the error to show for the first step that failed.

    Args:
        failures: Name of the step and exception, in the order in which steps failed.
        error: ZenML's own error, which names only the step.
    """
    if not failures:
        return RunFailedError(first_line(error))
    step, cause = failures[0]
    if isinstance(cause, INPUT_ERRORS):
        return InputError(str(cause))
    if isinstance(cause, ServiceError | TrainingError):
        return RunFailedError(str(cause))
    if isinstance(cause, OSError) and cause.errno in _DISK_FULL:
        where = f" ({cause.filename})" if cause.filename else ""
        return RunFailedError(f"step {step} failed: {cause.strerror}{where}; make room, and run the same command again")
    return RunFailedError(f"step {step} failed: {type(cause).__name__}: {cause}")
