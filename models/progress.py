"""A progress bar for people, and nothing for files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence


def tracked(steps: Sequence[int], description: str) -> Iterator[int]:
    """Yields the steps, with a progress bar where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield from steps
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import track  # noqa: PLC0415

    yield from track(steps, description=description, console=Console(stderr=True), transient=True)
