"""What a model costs a process that has just begun: memory before and after loading, at most, and the first result."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passerby.errors import ModelError

MARK = "passerby-fresh "  # before each line that the child tells; a user's own code may print too
STEPS = ("before", "loaded", "first", "peak")
RUNS = 3  # of cold start
MIB = 2**20


@dataclass(frozen=True)
class Fresh:
    """Of one model, in processes of its own.

    before      peak memory with Python, numpy, OpenCV and one picture, MiB
    loaded      peak memory after the model was loaded, MiB
    peak        peak memory after all pictures, MiB
    cold_start  seconds from the start of the process to its first result; the median of RUNS
    pictures    how many were looked at
    """

    before: float
    loaded: float
    peak: float
    cold_start: float
    pictures: int

    @property
    def increment(self) -> float:
        """What the model adds to the process, MiB."""
        return self.peak - self.before


def measure_fresh(command: Sequence[str], request: dict[str, Any], name: str) -> Fresh:
    """Start `command` RUNS times, ask it for one model, and listen.

    command  a program that calls `answer_fresh`
    request  told to it as one line of JSON on stdin, with "pictures", a list of paths
    name     the model's, for errors

    Raises ModelError, with the child's last line, where it fails.
    """
    told = [_run(command, request if k == 0 else request | {"pictures": request["pictures"][:1]}, name)
            for k in range(RUNS)]  # fmt: skip
    memory = {step: told[0][step][1] / MIB for step in STEPS}
    cold = statistics.median(run["first"][0] for run in told)
    return Fresh(memory["before"], memory["loaded"], memory["peak"], cold, len(request["pictures"]))


def answer_fresh(request: dict[str, Any], open_model: Callable[[], Callable[[Any], object]]) -> None:
    """The child's side: load the model, look at the pictures, tell each step.

    open_model  -> a callable picture -> anything
    """
    from passerby.pictures import read_picture

    pictures = [Path(p) for p in request["pictures"]]
    first = read_picture(pictures[0])
    _tell("before")
    model = open_model()
    _tell("loaded")
    model(first)
    _tell("first")
    for path in pictures[1:]:
        model(read_picture(path))
    _tell("peak")


def peak_memory() -> int:
    """Most bytes of memory that this process has had at once."""
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss of Linux counts what the parent had when it forked
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _tell(step: str) -> None:
    print(f"{MARK}{step} {peak_memory()}", flush=True)


def _run(command: Sequence[str], request: dict[str, Any], name: str) -> dict[str, tuple[float, int]]:
    """Step -> seconds since the start, bytes."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdin.write(json.dumps(request) + "\n")
        child.stdin.close()
        steps: dict[str, tuple[float, int]] = {}
        for line in child.stdout:
            if line.startswith(MARK):
                step, memory = line.removeprefix(MARK).split()
                steps[step] = time.perf_counter() - start, int(memory)
        last = child.stderr.read().strip().splitlines()
    if child.returncode or set(steps) != set(STEPS):
        raise ModelError(f"{name}: failed in a process of its own: {last[-1] if last else 'it said nothing'}")
    return steps
