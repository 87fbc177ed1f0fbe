"""What can go wrong with the services that runs are recorded in."""

from __future__ import annotations


class ServiceError(RuntimeError):
    """A server or a database that runs are recorded in cannot be used."""


def first_line(error: BaseException) -> str:
    """Returns an error in short: the first line of its message."""
    return str(error).strip().partition("\n")[0]
