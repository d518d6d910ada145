"""What an export target is, what it is asked, and what it answers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from passerby.errors import MissingExtraError, SettingError, did_you_mean
from passerby.records import Pixels
from passerby.runtime.detector import Engine
from passerby.spec import ModelSpec

FLOOR = 0.01  # scores under this are dropped by a graph that suppresses inside: the papers' floor when measuring


@dataclass(frozen=True)
class Job:
    """One export.

    model      the .onnx file of ours that it starts from
    spec       the model's own
    out        the file to write, in an empty folder; whatever else belongs to it goes beside it
    outputs    what the graph shall end in, of spec.OUTPUTS; None: as the target likes best
    free       whether it shall take any number of pictures at once, not one
    precision  of the weights, "float32" or "float16"; an int8 model stays int8
    floor      scores under this are dropped, where outputs is "nms"
    samples    pictures as the graph's input, (1, H, W, 3) uint8 each: for calibrating, and for input lists
    tell       called with a line for people
    """

    model: Path
    spec: ModelSpec
    out: Path
    outputs: str | None = None
    free: bool = False
    precision: str = "float32"
    floor: float = FLOOR
    samples: tuple[Pixels, ...] = ()
    tell: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Made:
    """What a target wrote.

    spec      of what it is now; inside the file where the format has room
    engine    runs it, where `runtime` does not; None: `runtime` opens the file
    by        in words: what that engine is
    unproven  why nothing here can run it; "": something can
    most      pictures of the certificate, where the engine is slow; 0: all
    notes     what whoever uses the file should know
    """

    spec: ModelSpec
    engine: Engine | None = None
    by: str = ""
    unproven: str = ""
    most: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """A kind of file to export to.

    suffix      of the file, or "/" where it is a folder
    makes       what it is, for people
    modules     what must be installed: a module and the extra that brings it; at the first that is missing it stops
    outputs     what its graph may end in, the default first
    precisions  of models that it takes
    halves      whether weights may be stored in float16
    free        whether it may take any number of pictures at once
    torch       whether its converter needs the network as a torch module, so that it is `learn`'s
    verified    what was run, and what never was
    """

    suffix: str
    makes: str
    modules: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]
    precisions: tuple[str, ...]
    verified: str
    halves: bool = False
    free: bool = False
    torch: bool = False

    def missing(self) -> tuple[str, str] | None:
        """The first module that is not installed, and its extra; None where nothing is missing."""
        return next((need for need in self.modules if importlib.util.find_spec(need[0]) is None), None)


def need_installed(target: Target) -> None:
    """Raises MissingExtraError where a target's tool is not installed."""
    if need := target.missing():
        raise MissingExtraError(*need)


def need_suffix(name: str, target: Target, out: Path) -> None:
    """Raises SettingError where a file is not named as the target's are: by its name tools know what it is."""
    if target.suffix not in ("/", out.suffix):
        raise SettingError(
            f"--to {out}: target {name} writes a {target.suffix} file; name it so, or take another target (--list)"
        )


def need_able(name: str, target: Target, job: Job) -> Job:
    """The job with the target's defaults filled in.

    Raises SettingError where the target cannot do what is asked: naming what, and what to do instead.
    """
    asked = job.outputs or (target.outputs[0] if job.spec.task == "detect" else "decoded")
    known = target.outputs if job.spec.task == "detect" else ("decoded",)
    if job.spec.task == "localise" and "decoded" not in target.outputs:
        raise SettingError(
            f"target {name} takes detectors only, and {job.spec.name} is a localiser; try onnx or openvino"
        )
    if asked not in known:
        raise SettingError(f"target {name}: no outputs '{asked}'{did_you_mean(asked, known)}")
    if job.spec.outputs != "decoded":
        raise SettingError(
            f"{job.model}: ends in {job.spec.outputs} outputs already; start from the file with decoded ones"
        )
    if job.spec.precision not in target.precisions:
        raise SettingError(
            f"target {name} takes {' and '.join(target.precisions)} models, and {job.spec.name} is "
            f"{job.spec.precision}; start from the float32 file"
        )
    if job.precision == "float16" and not target.halves:
        raise SettingError(f"target {name}: no float16 weights; leave --precision out")
    if job.precision == "float16" and job.spec.precision != "float32":
        raise SettingError(f"{job.spec.name} is {job.spec.precision} already; leave --precision out")
    if job.free and not target.free:
        raise SettingError(f"target {name} takes one picture at a time; leave --batch out")
    if job.free and asked == "nms":
        raise SettingError("suppression inside works on one picture; --outputs nms goes with --batch 1")
    return replace(job, outputs=asked)


def noise_input(spec: ModelSpec, seed: int = 0) -> Pixels:
    """(1, H, W, 3) uint8 of noise, the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 256, (1, spec.height, spec.width, 3), np.uint8)
