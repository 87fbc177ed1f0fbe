"""How many threads are worth starting, and work that they share."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def usable_cores() -> int:
    """Counts the CPU cores this process may use (fewer than the machine's, under taskset or in a container)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[_T], _R], items: Iterable[_T], window: int | None = None
) -> Iterator[_R]:
    """Yields the results of some work in the items' order, with few of them in memory at a time.

    Args:
        pool: The threads that work.
        work: What is done with each item.
        items: The items.
        window: How many items are begun or finished and not yielded; None for four a core.
    """
    waiting: deque[Future[_R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= (window or 4 * usable_cores()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:  # after an error the rest is not needed
            future.cancel()
