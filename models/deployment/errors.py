"""The error of files to deploy."""

from __future__ import annotations


class ExportError(ValueError):
    """A network cannot be exported so; the message says why, and what to do."""
