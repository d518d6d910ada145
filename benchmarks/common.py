"""What the benchmarks share: the machine's name, interleaved timing, and where results go."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


class Quiet:
    """Takes progress, and says nothing."""

    def line(self, text: str) -> None: ...

    def step(self, text: str) -> None: ...


def machine() -> str:
    """Processor, cores and Python, as printed beside every result."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    flags = info.read_text() if info.exists() else ""
    extra = ", AMX" if "amx_bf16" in flags else ", AVX-512 bf16" if "avx512_bf16" in flags else ""
    return f"{name}{extra}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def interleaved(calls: Sequence[Callable[[], object]], rounds: int, warmup: int = 10) -> list[list[float]]:
    """Milliseconds of each call, the calls taking turns so that drift of the machine hits all alike."""
    for _ in range(warmup):
        for call in calls:
            call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, row in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            row.append(1000 * (time.perf_counter() - start))
    return times


def blocks(calls: Sequence[Callable[[], object]], rounds: int, block: int = 30, settle: int = 8) -> list[list[float]]:
    """As `interleaved`, but each call runs `block` times before the next has its turn, the first `settle` not counted.

    For engines: one that has just run keeps its threads spinning for a while, in the way of the other's.
    """
    times: list[list[float]] = [[] for _ in calls]
    while len(times[-1]) < rounds:
        for call, row in zip(calls, times, strict=True):
            row += interleaved([call], block - settle, settle)[0]
    return times


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def save(name: str, title: str, rows: list[dict[str, object]]) -> None:
    """Print a table and keep it in results/NAME.json."""
    keys = list(rows[0])
    print(title)
    print("  ".join(f"{k:>24}" for k in keys))
    for row in rows:
        print("  ".join(f"{row[k]!s:>24}" for k in keys))
    shown = ["DIR" if before == "--root" else word for before, word in pairwise(sys.argv)]
    command = " ".join([f"python benchmarks/{Path(sys.argv[0]).name}", *shown])
    document = {"title": title, "machine": machine(), "command": command, "rows": rows}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
