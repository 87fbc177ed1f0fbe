"""A progress bar for people, and nothing for files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

Step = TypeVar("Step")


def tracked(steps: Sequence[Step], description: str) -> Iterator[Step]:
    """Yields the steps, with a bar and the time that remains where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield from steps
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import track  # noqa: PLC0415

    yield from track(steps, description=description, console=Console(stderr=True), transient=True)
