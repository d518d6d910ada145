"""How many processors there are to work with."""

from __future__ import annotations

import os


def cores() -> int:
    """Processors that this process may use, at least 1; fewer than the machine has where it is pinned to some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
