"""How many processors there are to work with, and which."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def cores() -> int:
    """Processors that this process may use, at least 1; fewer than the machine has where it is pinned to some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name, and whether it multiplies in bfloat16."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    name = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")
    flags = next((x for x in lines if x.startswith("flags")), "")
    extra = ", AVX-512 bf16" if "avx512_bf16" in flags else ""
    return (name or platform.processor() or platform.machine()) + extra
