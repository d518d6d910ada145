"""One export from beginning to end: made beside its place, proven, certified, moved there; or nothing is left."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from passerby.deploy.parity import FLOOR, Certificate, compare
from passerby.deploy.parity_limits import Limits
from passerby.deploy.targets.base import Job, Made, Target, need_able, need_installed, need_suffix
from passerby.deploy.targets.examples import draw_examples
from passerby.errors import OutputError, ParityError, SettingError
from passerby.records import SampleSet
from passerby.runtime.detector import Detector, as_input
from passerby.runtime.formats import FORMATS
from passerby.runtime.localiser import model_of, open_model
from passerby.runtime.model_file import write_spec
from passerby.runtime.predictor import Predictor
from passerby.spec import ModelSpec

CALIBRATED = 32  # pictures of the data that a converter may calibrate with, and that a folder for devices holds


@dataclass(frozen=True)
class Exported:
    """What was written.

    files        the file or folder that was asked for first, then those beside it
    certificate  None where nothing here can run it: `made.unproven` says why
    """

    files: tuple[Path, ...]
    made: Made
    certificate: Certificate | None


def export_to(
    name: str,
    target: Target,
    make: Callable[[Job], Made],
    job: Job,
    data: SampleSet | None = None,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write a model as another kind of file, with the certificate that it answers alike.

    name, target, make  of the tables TARGETS and MAKERS
    job       what is asked; its samples are filled in here from the data
    data      pictures for the certificate; None: drawn ones (`examples`), which say nothing about accuracy
    limits    how much may differ; None: by precision, `parity_limits.LIMITS`

    Raises MissingExtraError where a tool is not installed, SettingError for what the target cannot do, ModelError where
    a converter fails, ParityError where the certificate breaks a limit, OutputError where `job.out` cannot be written.
    In all of these nothing is left behind.
    """
    need_installed(target)
    job = need_able(name, target, job)
    need_suffix(name, target, job.out)
    _need_place(job.out)
    with tempfile.TemporaryDirectory() as drawn:
        samples = replace(draw_examples(Path(drawn)), source="drawn pictures") if data is None else data
        inputs = tuple(as_input(s.path, job.spec)[0] for s in samples.samples[:CALIBRATED])
        scratch = Path(tempfile.mkdtemp(prefix=".export-", dir=job.out.parent))
        try:
            inside = scratch / job.out.name
            made = make(replace(job, out=inside, samples=inputs))
            certificate = None if made.unproven else _prove(job, made, inside, samples, limits, progress)
            if certificate and (broken := certificate.broken()):
                raise ParityError(f"{job.out}: not written: {'; '.join(broken)}")
            _certify(inside, made.spec, certificate)
            files = _move(scratch, job.out)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return Exported(files, made, certificate)


def _prove(
    job: Job,
    made: Made,
    path: Path,
    samples: SampleSet,
    limits: Limits | None,
    progress: Callable[[int, int], None] | None,
) -> Certificate:
    before = open_model(job.model, FLOOR, "onnxruntime")
    if isinstance(before, Detector):
        before.nms = made.spec.nms  # a graph that suppresses inside knows one way, whatever the model's own
    after: Predictor
    if made.engine:
        after = model_of(made.spec, made.engine, FLOOR)
    else:
        after = open_model(path, FLOOR, "onnxruntime" if path.suffix == ".onnx" else "auto")
    few = replace(samples, samples=samples.samples[: made.most]) if made.most else samples
    files = (job.model, path if path.is_file() else None)
    change = (
        job.precision if job.precision != "float32" else None
    )  # weights in float16 have its limits, if not its name
    return compare(before, after, few, limits, files, change=change, progress=progress)


def _certify(path: Path, spec: ModelSpec, certificate: Certificate | None) -> None:
    """Put the certificate into the file's card, or into NAME.json where the format has no room for one."""
    kept = {k: v for k, v in spec.provenance.items() if k != "certificate"}  # one of an earlier file is not this one's
    if certificate:
        kept["certificate"] = certificate.record()
    spec = spec.with_(provenance=kept)
    if path.suffix in (".onnx", *FORMATS):
        write_spec(path, spec, path)
    else:
        beside = path / f"{spec.name}.json" if path.is_dir() and not path.suffix else path.with_suffix(".json")
        beside.write_text(spec.to_json(), encoding="utf-8")


def _need_place(out: Path) -> None:
    """Raises OutputError where the folder of `out` cannot be made, or a folder is in its place."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"{out.parent}: cannot be made ({e.strerror or e})") from e
    if out.is_dir():
        raise OutputError(f"{out}: is there already; name another with --to, or remove it")
    if not os.access(out.parent, os.W_OK):
        raise OutputError(f"{out.parent}: cannot be written to")


def _move(scratch: Path, out: Path) -> tuple[Path, ...]:
    """Everything in scratch to the folder of `out`, `out` itself last, so that whoever sees it sees all."""
    made = sorted(scratch.iterdir(), key=lambda p: (p.name == out.name, p.name))
    try:
        for path in made:
            path.replace(out.parent / path.name)
    except OSError as e:
        raise OutputError(f"{out}: cannot be written ({e.strerror or e})") from e
    return (out, *(out.parent / p.name for p in made if p.name != out.name))


def default_out(model: Path, spec: ModelSpec, name: str, target: Target, shipped: bool) -> Path:
    """Where an export goes when nobody says: beside the model, or, of a shipped one, into this folder.

    Raises SettingError where that would be the model itself.
    """
    stem = spec.name if shipped else model.stem
    folder = Path() if shipped else model.parent
    out = folder / (f"{stem}-{name}" if target.suffix == "/" else f"{stem}{target.suffix}")
    if out.resolve() == model.resolve():
        raise SettingError(f"{out}: that is the model itself; name another file with --to")
    return out
