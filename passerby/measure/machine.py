"""The machine that a measurement was made on: printed beside every number that depends on it."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

from passerby.cores import cores


def machine_card() -> dict[str, str]:
    """Processor, cores, memory, system, Python and date, in words."""
    return {
        "processor": _processor(),
        "cores": str(cores()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"Python {platform.python_version()}",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    name = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")
    flags = next((x for x in lines if x.startswith("flags")), "")
    extra = ", AVX-512 bf16" if "avx512_bf16" in flags else ""
    return (name or platform.processor() or platform.machine()) + extra


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on this system
        return "not known"
    return f"{size / 2**30:.1f} GiB"
