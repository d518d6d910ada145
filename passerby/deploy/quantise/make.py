"""From a float file to a smaller one with its certificate: the whole way, for the command line and for programs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from passerby.deploy.parity import FLOOR, Certificate, compare, stamp
from passerby.deploy.parity_limits import LIMITS, Limits
from passerby.deploy.quantise.calibrate import LEAST, METHODS, observe, read_inputs
from passerby.deploy.quantise.graph import read_graph
from passerby.deploy.quantise.half import STORES, write_half
from passerby.deploy.quantise.judging import DetectorJudge, LocaliserJudge
from passerby.deploy.quantise.pictures import Split
from passerby.deploy.quantise.report import Report
from passerby.deploy.quantise.search import Tell, check, search
from passerby.deploy.quantise.smaller import CARD
from passerby.errors import ModelError, ParityError, SettingError, did_you_mean
from passerby.files import written_whole
from passerby.records import SampleSet
from passerby.runtime.localiser import open_model
from passerby.runtime.model_file import is_shipped, read_spec, write_spec

PRECISIONS = ("int8", *STORES)
DAMAGE_PICTURES = 16  # on which one layer at a time is tried


@dataclass(frozen=True)
class Choices:
    """How a file is made.

    precision  of PRECISIONS
    methods    of calibration, names of METHODS
    budget     points of AP50 that INT8 may lose, of a localiser points of AUC
    limits     what else may differ; None: the precision's own in `deploy.parity_limits`
    engine     that runs both files for the certificate
    threads    of that engine; 0: as many as it likes
    least      calibration pictures that there have to be
    size       share of the float file that an INT8 file may take, where it is within reach; 1: as much as it likes
    """

    precision: str = "int8"
    methods: tuple[str, ...] = tuple(METHODS)
    budget: float = 0.3
    limits: Limits | None = None
    engine: str = "onnxruntime"
    threads: int = 0
    least: int = LEAST
    size: float = 0.25


def need_choices(model: Path, out: Path, choices: Choices) -> None:
    """Refuses what cannot be done before anything is read or run.

    Raises SettingError for an unknown precision or method, a budget or a size out of range, or a target that would
    change the model itself or a shipped one; ModelError for INT8 of a two-stage model.
    """
    if choices.precision not in PRECISIONS:
        raise SettingError(f"no precision '{choices.precision}'{did_you_mean(choices.precision, PRECISIONS)}")
    check(choices.methods, choices.budget)
    if not 0 < choices.size <= 1:
        raise SettingError(f"--size {choices.size:g}: a share of the float file, want a number over 0 and up to 1")
    if out.suffix != ".onnx":
        raise SettingError(f"--to {out}: the new file is an .onnx file; name it so")
    if out.resolve() == model.resolve() or is_shipped(out):
        raise SettingError(f"--to {out}: the float file is kept; name another")
    spec = read_spec(model)
    if choices.precision != "int8":
        return
    if spec.network.get("head") == "two_stage":
        raise ModelError(
            f"{model}: the rows of a two-stage head change places, and its layers cannot be judged one by one; "
            "take --precision float16 or bfloat16"
        )


def quantise(model: Path, out: Path, pictures: Split, choices: Choices, tell: Tell) -> tuple[Report, Certificate]:
    """Write the INT8 file of a model, with its certificate inside; or nothing.

    pictures  that calibrate, and that judge
    tell      where progress goes

    Raises ModelError, SettingError and DataError as `need_choices`, `read_graph` and `read_inputs` do, ParityError
    where the budget or a limit does not hold, OutputError where `out` cannot be written.
    """
    need_choices(model, out, choices)
    limits = choices.limits or LIMITS["int8"]
    graph = read_graph(model)
    judge = (
        LocaliserJudge(pictures.judge, graph.spec.labels, limits, choices.threads)
        if graph.spec.task == "localise"
        else DetectorJudge(pictures.judge, choices.threads)
    )
    inputs = read_inputs(pictures.calibrate, graph.spec, pictures.source, choices.least)
    notes = (*pictures.told, *inputs.told)
    for note in notes:
        tell.line(note)
    seen = observe(graph, inputs.pixels, choices.threads, lambda k, n: tell.step(f"calibrating: {k}/{n} pictures"))
    few = inputs.pixels[:: max(len(inputs.pixels) // DAMAGE_PICTURES, 1)][:DAMAGE_PICTURES]
    most = None if choices.size == 1 else int(choices.size * model.stat().st_size) - CARD
    found = search(graph, seen, few, judge, choices.budget, choices.methods, tell, choices.threads, most)
    report = Report(
        graph,
        found,
        (pictures.source, len(inputs.pixels)),
        (pictures.judge.source, len(pictures.judge)),
        choices.budget,
        pictures.proof,
        notes,
        model.stat().st_size,
    )
    choices = replace(choices, limits=limits.with_(ap50=choices.budget))
    return report, _write(model, out, found.data, report.card(), pictures.judge, choices, tell)


def store_half(model: Path, out: Path, samples: SampleSet, choices: Choices, tell: Tell) -> Certificate:
    """Write a model's file with weights in half precision, its certificate inside; or nothing.

    samples  pictures that go through both files; where they have boxes, accuracy is measured too

    Raises as `quantise` does.
    """
    need_choices(model, out, choices)
    data, _ = write_half(model, choices.precision)
    card = {"precision": choices.precision, "bytes_float": model.stat().st_size, "bytes": len(data)}
    return _write(model, out, data, card, samples, choices, tell)


def _write(
    model: Path, out: Path, data: bytes, card: dict[str, object], samples: SampleSet, choices: Choices, tell: Tell
) -> Certificate:
    """The file, kept only where its certificate holds."""
    with written_whole(out) as temporary:
        temporary.write_bytes(data)
        spec = read_spec(temporary)
        write_spec(temporary, spec.with_(provenance={**spec.provenance, "quantised": card}), temporary)
        before, after = (open_model(f, FLOOR, choices.engine, choices.threads, None, None) for f in (model, temporary))
        done = compare(
            before,
            after,
            samples,
            choices.limits or LIMITS[choices.precision],
            (model, temporary),
            progress=lambda k, n: tell.step(f"certificate: {k}/{n} pictures"),
        )
        if broken := done.broken():
            raise ParityError(f"{out}: not written: it answers differently from {model.name}: {'; '.join(broken)}")
        stamp(temporary, done)
    return done
