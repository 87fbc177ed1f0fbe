"""The error of files to deploy, and which errors are none of theirs."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from models.networks.errors import first_words

# How PyTorch, ONNX Runtime and C++ say, in errors of other kinds, that memory or the disk did not suffice.
_LACKING = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "failed to allocate memory",
    "bad_alloc",
    os.strerror(errno.ENOMEM).lower(),
    os.strerror(errno.ENOSPC).lower(),
)


class ExportError(ValueError):
    """A network cannot be exported so; the message says why, and what to do."""


def is_passing(error: BaseException) -> bool:
    """Whether an error tells of the machine at this moment (memory, disk, files) and not of the network.

    Such an error must end the step. Kept as the fault of a file it would be a result, which the cache gives again.
    Libraries wrap errors in their own, so that the reasons of an error count, too; of these an OSError only with a
    number, as `inspect` raises one without where code has no source, which exporters look for.
    """
    if isinstance(error, OSError):
        return True
    reason: BaseException | None = error
    while reason is not None:
        said = str(reason).lower()
        numbered = isinstance(reason, OSError) and reason.errno is not None
        if numbered or isinstance(reason, MemoryError) or any(words in said for words in _LACKING):
            return True
        reason = reason.__cause__ or reason.__context__
    return False


@contextlib.contextmanager
def export_errors(doing: str, folder: os.PathLike[str] | None = None) -> Iterator[None]:
    """Turns what exporters, runtimes and networks raise into an `ExportError`, but what `is_passing` lets through.

    Args:
        doing: What cannot be done, the start of the message.
        folder: A temporary folder, which the message leaves out.

    Raises:
        ExportError: It cannot be done.
    """
    try:
        yield
    except Exception as error:
        if is_passing(error):
            raise
        said = str(error) if isinstance(error, ExportError) else first_words(error)
        said = said if folder is None else said.replace(f"{os.fspath(folder)}{os.sep}", "")
        raise ExportError(f"{doing}: {said}") from error
