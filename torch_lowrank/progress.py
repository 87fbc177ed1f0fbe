"""A progress bar on terminals, nothing in files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Step = TypeVar("Step")


def tracked(steps: Iterable[Step], description: str, total: int | None = None) -> Iterator[Step]:
    """Yields the steps, with a progress bar where standard error is a terminal and rich is installed.

    Args:
        steps: What is done, one by one.
        description: What the bar is called.
        total: How many steps there are, where `steps` has no length.
    """
    yield from _with_bar(steps, description, total) if sys.stderr.isatty() else steps


def _with_bar(steps: Iterable[Step], description: str, total: int | None) -> Iterable[Step]:
    try:  # here and not at the top: rich is optional, and only a terminal needs it
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import track  # noqa: PLC0415
    except ImportError:
        return steps
    return track(steps, description=description, total=total, console=Console(stderr=True), transient=True)
