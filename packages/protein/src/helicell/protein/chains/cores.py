"""How many cores a job may use."""

import os

__all__ = ["available_cores"]


def available_cores() -> int:
    """Return the number of cores that this process may run on, which a scheduler may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
