"""Which engine `--engine auto` takes: OpenVINO where it is installed, or what `passerby tune` measured to be faster."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from passerby.cores import cores, processor
from passerby.files import written_whole

FORMAT = 1  # of tuned.json
IGNORE = "PASSERBY_NO_TUNE"  # the environment variable; set to anything but nothing: choices are not used
GOALS = ("latency", "throughput")


@dataclass(frozen=True)
class Choice:
    """What was faster than the default for one model file, on one machine, for one goal.

    model    its file's name, for people; sha256 and bytes: of the file
    machine  `machine_key` where it was measured
    goal     one of GOALS: one picture at a time, or as many as there are cores
    engine   a name from ENGINES; threads: 0 for as many as it likes
    facts    what was measured, for people
    """

    model: str
    sha256: str
    bytes: int
    machine: str
    goal: str
    engine: str
    threads: int
    facts: dict[str, Any] = field(default_factory=dict)

    def told(self) -> str:
        """The settings in words, as they stand behind an engine's name."""
        return f"tuned: {self.threads or 'its own'} thread{'' if self.threads == 1 else 's'}"


def default_engine() -> str:
    """What runs .onnx files where nobody says otherwise: OpenVINO where it is installed, else ONNX Runtime."""
    return "openvino" if importlib.util.find_spec("openvino") else "onnxruntime"


def find_choice(model: object, streams: int = 1) -> Choice | None:
    """What was chosen for a model's file on this machine; None where nothing was, or it shall not be used.

    model    its path; anything else has no choice
    streams  pictures that run at once: 1 is latency, more are throughput

    Never raises: a file of choices that cannot be read, and a choice whose engine is gone, are told in one line.
    """
    if not isinstance(model, Path) or os.environ.get(IGNORE) or not tuned_path().is_file():
        return None
    goal = GOALS[streams > 1]
    try:
        size = model.stat().st_size
        near = [c for c in read_choices() if (c.bytes, c.goal, c.machine) == (size, goal, machine_key())]
        if not near:
            return None
        own = sha256_of(model)
    except (OSError, ValueError) as e:
        _warn(f"{tuned_path()}: not used ({e}); `passerby tune --forget` removes it")
        return None
    found = next((c for c in near if c.sha256 == own), None)
    if found and importlib.util.find_spec(found.engine.partition("-")[0]) is None:
        _warn(f"{found.engine}, chosen by passerby tune for {found.model}, is not installed: the default runs it")
        return None
    return found


def read_choices() -> list[Choice]:
    """All that is stored, of all machines; none where nothing is. Raises ValueError for a file that is not ours."""
    path = tuned_path()
    if not path.is_file():
        return []
    raw = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise ValueError(f"not of format {FORMAT}")
    try:
        choices = [Choice(**row) for row in raw["choices"]]
    except (TypeError, KeyError) as e:
        raise ValueError(f"a choice is incomplete: {e}") from e
    for c in choices:
        if not (isinstance(c.threads, int) and isinstance(c.engine, str) and isinstance(c.bytes, int)):
            raise ValueError(f"the choice for {c.model} has settings of wrong types")
    return choices


def write_choices(choices: list[Choice]) -> None:
    """Store these and no others; the file goes where there are none. Raises OutputError where it cannot be written."""
    path = tuned_path()
    if not choices:
        path.unlink(missing_ok=True)
        return
    text = json.dumps({"format": FORMAT, "choices": [asdict(c) for c in choices]}, indent=1)
    with written_whole(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def tuned_path() -> Path:
    """Where choices are kept: passerby/tuned.json in $XDG_CONFIG_HOME, else in ~/.config."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "passerby" / "tuned.json"


def machine_key() -> str:
    """What speed depends on: the processor, and how many of its cores may be used."""
    return f"{processor()}, {cores()} cores"


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _warn(text: str) -> None:
    logging.getLogger("passerby").warning("passerby: %s", text)
