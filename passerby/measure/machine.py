"""The machine that a measurement was made on: printed beside every number that depends on it."""

from __future__ import annotations

import datetime
import os
import platform

from passerby.cores import cores, processor


def machine_card() -> dict[str, str]:
    """Processor, cores, memory, system, Python and date, in words."""
    return {
        "processor": processor(),
        "cores": str(cores()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"Python {platform.python_version()}",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on this system
        return "not known"
    return f"{size / 2**30:.1f} GiB"
