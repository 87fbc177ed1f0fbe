"""What can end a run, as people are told of it."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from dataset.errors import DatasetError
from models.checkpoint import CheckpointError
from models.training.options import TrainingError
from models.variant import VariantError
from pipelines.execution.placement import SettingsError
from pipelines.execution.reuse_training import TrainingNotFoundError
from torch_lowrank.ranks.budgets import BudgetError
from tracking.connectivity import ServiceError, first_line
from tracking.registry import RegistrationError


class InputError(ValueError):
    """What was given is wrong: data, checkpoint or the run to reuse."""


class RunFailedError(RuntimeError):
    """A step failed."""


class OutputFolderError(ValueError):
    """Results cannot be written where they are wanted."""


INPUT_ERRORS = (
    OutputFolderError,
    SettingsError,
    DatasetError,
    CheckpointError,
    TrainingNotFoundError,
    VariantError,
    BudgetError,
    RegistrationError,
)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def explained(failures: Sequence[tuple[str, BaseException]], error: RuntimeError) -> InputError | RunFailedError:
    """Returns what went wrong in the first step that failed.

    Args:
        failures: Step name and exception, in the order of failing.
        error: ZenML's own error, which names only the step.
    """
    if not failures:
        return RunFailedError(first_line(error))
    step, cause = failures[0]
    if isinstance(cause, INPUT_ERRORS):
        return InputError(str(cause))
    if isinstance(cause, ServiceError | TrainingError):
        return RunFailedError(str(cause))
    if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
        where = f" ({cause.filename})" if cause.filename else ""
        return RunFailedError(f"step {step} failed: {cause.strerror}{where}; make room, and run the same command again")
    return RunFailedError(f"step {step} failed: {type(cause).__name__}: {cause}")
