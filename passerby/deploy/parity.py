"""The certificate: the same pictures through two files of one model, preprocessing included, and what differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from passerby.deploy.parity_limits import LIMITS, Limits, change_of, precision_of
from passerby.deploy.parity_shift import Maps, Raw, Shift, Spread, compare_maps, compare_raw, shift_of
from passerby.errors import DataError, ParityError
from passerby.measure.evaluate import Report, judge_found, score
from passerby.measure.interval import Difference, difference
from passerby.measure.machine import machine_card
from passerby.measure.speed import Ratio, Turns, quantile, ratio, take_turns
from passerby.records import SampleSet
from passerby.runtime.formats import bytes_of
from passerby.runtime.model_file import read_spec, write_spec
from passerby.runtime.predictor import Predictor
from passerby.runtime.tuned import sha256_of
from passerby.spec import ModelSpec

FLOOR = 0.01  # what both predictors are opened with, so that a score that fell is no lost box
DRAWS = 200  # resamples of pictures behind the interval of a difference
METRICS = ("average_precision", "miss_rate")  # of measure.evaluate


@dataclass(frozen=True)
class Side:
    """One of the two files.

    bytes   of its files; None where it is a Python function
    sha256  of its file; "" where there is none
    ms      milliseconds a picture, the median: whole, and the network alone
    """

    name: str
    engine: str
    precision: str
    threshold: float
    bytes: int | None
    sha256: str
    ms: float
    network_ms: float


@dataclass(frozen=True)
class Accuracy:
    """A metric before and after, 0..1; `difference` is after minus before, with its interval over pictures."""

    before: float
    after: float
    difference: Difference


@dataclass(frozen=True)
class Certificate:
    """What differs between two files of one model, on which pictures, within which limits.

    change    the coarser precision of the two, a key of LIMITS
    shift     detections paired one to one
    worst     the picture of most detections lost and gained; "" where there is none
    raw       outputs before suppression, row by row; None where they cannot be set side by side
    maps      of localisers; None: detectors
    accuracy  "ap50", "mr2" -> before and after; empty where the data has no boxes
    time      how many times longer `before` takes, all stages; network_time: the network alone
    """

    before: Side
    after: Side
    data: str
    pictures: int
    objects: int
    change: str
    shift: Shift
    worst: str
    raw: Raw | None
    maps: Maps | None
    accuracy: Mapping[str, Accuracy]
    time: Ratio
    network_time: Ratio
    limits: Limits
    machine: Mapping[str, str]

    @property
    def boxes(self) -> Spread:
        """How far paired boxes moved, pixels of the picture."""
        return Spread.of(self.shift.boxes)

    @property
    def scores(self) -> Spread:
        """How far the scores of pairs lie apart."""
        return Spread.of(self.shift.scores)

    def measured(self) -> dict[str, float | None]:
        """Limit's name -> what was measured against it; None where there was nothing to measure it on.

        A localiser is judged by its maps and the scores of whole pictures: its regions jump by whole cells of a map.
        """
        paired, shown = len(self.shift.boxes) > 0, self.shift.before + self.shift.after > 0
        box, score, changed = self.boxes.p99, self.scores.p99, self.shift.changed
        return {
            "box_p99": box if paired and not self.maps else None,
            "score_p99": self.maps.scores.p99 if self.maps else score if paired else None,
            "changed": changed if shown and not self.maps else None,
            "ap50": -100 * self.accuracy["ap50"].difference.value if "ap50" in self.accuracy else None,
            "mr2": 100 * self.accuracy["mr2"].difference.value if "mr2" in self.accuracy else None,
            "maps_p99": self.maps.maps.p99 if self.maps else None,
        }

    def broken(self) -> list[str]:
        """The limits that do not hold, one sentence each; what is no number holds none."""
        from passerby.deploy.parity_report import sentence

        out = []
        for name, value in self.measured().items():
            limit = getattr(self.limits, name)
            if limit is not None and value is not None and not value <= limit:
                out.append(sentence(name, value, limit))
        if self.raw and not self.raw.finite:
            out.append("default boxes or their scores are no numbers")
        if self.silent():
            out.append("neither finds anything in these pictures, which proves nothing; give pictures with objects")
        return out

    def silent(self) -> bool:
        """Whether there was nothing at all to compare: no detection, no default box that scores, no map."""
        shown = self.shift.before + self.shift.after + len(self.shift.boxes)
        return not shown and self.maps is None and not (self.raw and self.raw.rows)

    def need(self) -> None:
        """Raises ParityError, with every limit that does not hold."""
        if broken := self.broken():
            raise ParityError(f"{self.after.name} answers differently from {self.before.name}: {'; '.join(broken)}")

    def record(self) -> dict[str, object]:
        """Everything as plain JSON, for `provenance["certificate"]` of the new file."""
        from passerby.deploy.parity_report import as_record

        return as_record(self)

    def told(self) -> str:
        """A table for people, and which limits hold."""
        from passerby.deploy.parity_report import as_text

        return as_text(self)


def compare(
    before: Predictor,
    after: Predictor,
    samples: SampleSet,
    limits: Limits | None = None,
    files: tuple[Path | None, Path | None] = (None, None),
    rounds: int = 1,
    change: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Certificate:
    """Run two files of one model in turns over the same pictures, and say what differs.

    before, after  opened with `FLOOR`, so that every score is compared; each prepares pictures in its own way
    samples        with boxes: AP50 and MR^-2 are measured too; without: only what moved
    limits         None: those of LIMITS for the change
    files          of both, for their sizes; None where there is none
    rounds         how often the pictures are gone through, for times
    change         a key of LIMITS; None: the coarser precision of the two
    progress       called with (pictures done, pictures in all rounds)

    Nothing is raised where limits are broken: ask `broken()` of the certificate.
    Raises DataError for no picture, or a detector beside a localiser; SourceError for a picture that cannot be read;
    SettingError for no round; and what predictors raise.
    """
    if not len(samples):
        raise DataError(f"{samples.source or 'the data'}: has no picture; there is nothing to compare on")
    localise = {_localises(p) for p in (before, after)}
    if len(localise) > 1:
        raise DataError("one of the two is a localiser and the other a detector; compare two files of one model")
    pair = (before, after)
    turns = take_turns(pair, samples, [p.spec.threshold for p in pair], rounds, progress)
    shift = shift_of(turns.found[0], turns.found[1], before.spec.threshold, after.spec.threshold)
    change = change or change_of(before, after)
    worst = int(shift.by_picture.argmax())
    network = [turns.stages[k, :, :, 1].mean(axis=0) for k in range(2)]
    return Certificate(
        _side(before, files[0], turns, 0),
        _side(after, files[1], turns, 1),
        samples.source,
        len(samples),
        samples.objects(),
        change,
        shift,
        samples[worst].path.name if shift.by_picture[worst] else "",
        None if localise == {True} else compare_raw(before, after, samples),
        compare_maps(before, after, samples) if localise == {True} else None,
        _accuracy(pair, turns, samples),
        ratio(turns.totals(0), turns.totals(1)),
        ratio(network[0], network[1]),
        limits or LIMITS[change],
        machine_card(),
    )


def engines_for(before: Path | None, after: Path | None) -> tuple[str, str]:
    """Engines that compute most alike, so that what differs is the files: one for both where one runs both.

    ONNX Runtime runs .onnx files in the precision that they have; beside OpenVINO's own format they run by OpenVINO.
    """
    kinds = [f.suffix.lower() if f else "" for f in (before, after)]
    own = "openvino" if ".xml" in kinds else "onnxruntime"
    return (own if kinds[0] == ".onnx" else "auto"), (own if kinds[1] == ".onnx" else "auto")


def stamp(path: Path, certificate: Certificate) -> None:
    """Write a certificate into a file's own card, as `provenance["certificate"]`. Raises as `write_spec` does."""
    spec = read_spec(path)
    write_spec(path, spec.with_(provenance={**spec.provenance, "certificate": certificate.record()}), path)


def _localises(predictor: Predictor) -> bool:
    return isinstance(predictor.spec, ModelSpec) and predictor.spec.task == "localise"


def _side(predictor: Predictor, file: Path | None, turns: Turns, k: int) -> Side:
    return Side(
        predictor.spec.name,
        predictor.engine_name,
        precision_of(predictor),
        predictor.spec.threshold,
        bytes_of(file) if file else None,
        sha256_of(file) if file else "",
        quantile(turns.totals(k), 0.5),
        turns.by_stage(k, 0.5)["network"],
    )


def _accuracy(pair: tuple[Predictor, Predictor], turns: Turns, samples: SampleSet) -> dict[str, Accuracy]:
    """AP50 and MR^-2 of both, and of the difference an interval; empty where the data has no boxes."""
    if not samples.objects():
        return {}
    reports: list[Report] = []
    for k, predictor in enumerate(pair):
        run = judge_found(predictor, samples, turns.found[k], 100, 0.0, 0.0)
        reports.append(score(run, METRICS))
    before, after = reports
    return {
        name: Accuracy(before.scores[name], after.scores[name], difference(after.judged, before.judged, name, DRAWS))
        for name in ("ap50", "mr2")
    }
