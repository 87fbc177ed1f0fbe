"""How many threads are worth starting."""

import os


def usable_cores() -> int:
    """Counts the CPU cores this process may use (fewer than the machine's, under taskset or in a container)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
