"""passerby eval: how good is a model on labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from passerby.cli.options import engine_options, threshold_option, tiled, tiles_option

if TYPE_CHECKING:
    from passerby.cli.progress import Progress
    from passerby.records import SampleSet
    from passerby.runtime.detector import Detector
    from passerby.runtime.localiser import Localiser

NO_CAP = 1_000_000  # more than suppression ever leaves of a picture


@click.command("eval", short_help="Measure a model on labelled pictures.")
@click.argument("model", metavar="MODEL")
@click.argument("data", metavar="DATA")
@click.option("--root", type=click.Path(path_type=Path), default=Path(), help="Relative DATA paths start here.")
@click.option(
    "--classes", multiple=True, metavar="NAME[=OLD+OLD]", help="What the model's labels are called in DATA; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@threshold_option
@click.option("--floor", default=0.01, show_default=True, help="Scores under this are dropped before measuring.")
@click.option("--nms-iou", type=float, help="IoU over which the lower score is dropped; default: the model's own.")
@click.option(
    "--nms",
    metavar="hard|soft|diou|voting",
    help="How boxes on each other are suppressed; default: the model's own.",
)
@click.option("--max-detections", type=int, help="A picture; default: the model's own.")
@click.option("--rules", is_flag=True, help="Also AP under every rule: definitions, score floors, caps.")
@click.option("--coco-cap", default=100, show_default=True, help="Detections a picture that COCO AP looks at.")
@click.option(
    "--boxes",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Boxes of class folders' pictures, for judging a localiser's map (JSON).",
)
@click.option("--map-threshold", type=float, help="Of a localiser's regions; default: the model's own.")
@tiles_option
@engine_options
def command(
    model: str,
    data: str,
    root: Path,
    classes: tuple[str, ...],
    as_json: bool,
    threshold: float | None,
    floor: float,
    nms_iou: float | None,
    nms: str | None,
    max_detections: int | None,
    rules: bool,
    coco_cap: int,
    boxes: Path | None,
    map_threshold: float | None,
    tiles: str | None,
    engine: str,
    threads: int,
) -> None:
    """Measure MODEL (a shipped name, an .onnx file, or a checkpoint) on DATA.

    DATA is format:path#split, for example voc:scut_head#val_B or coco:person_boxes#valid; without a format it is
    found out by looking. --classes head=face+Head says what stands for the label head there. --threshold sets the
    operating point of precision, recall and miss rate; AP and MR^-2 use every score from --floor on. What each number
    means: docs/guides/measure.md.

    A model that localises (person-map) is measured on class folders too (classes:person_or_not#valid), and on whole
    pictures, maps and groups beside boxes: docs/guides/localise.md. --boxes takes
    [{"file": "person/1.jpg", "boxes": [[x0, y0, x1, y1], ...]}, ...].
    """
    import importlib.util

    from passerby.cli.progress import Progress
    from passerby.errors import SettingError, did_you_mean
    from passerby.geometry.nms import METHODS
    from passerby.measure.evaluate import METRICS, Run, judge, score
    from passerby.measure.report import to_json, to_text
    from passerby.measure.rules import ap_under_every_rule
    from passerby.runtime.localiser import Localiser

    if coco_cap < 1:
        raise SettingError(f"--coco-cap is {coco_cap}, want at least 1")
    progress = Progress()
    detector = open_detector(model, floor, engine, threads, nms_iou, max_detections)
    if threshold is not None:
        if not 0 <= threshold <= 1:
            raise SettingError(f"--threshold is {threshold}, want a number from 0 to 1")
        detector.spec = detector.spec.with_(threshold=threshold)
    metrics = tuple(METRICS)
    if importlib.util.find_spec("hotcoco") is None:
        metrics = tuple(m for m in metrics if m != "coco")
        progress.line("COCO AP is left out: pip install 'passerby[measure]'")
    if isinstance(detector, Localiser):
        if rules or nms_iou is not None or nms or tiles:
            raise SettingError("--rules, --nms, --nms-iou and --tiles are for detectors; this model localises")
        if map_threshold is not None:
            detector = Localiser.of(detector.spec, detector.engine, floor, map_threshold, max_detections=max_detections)
        _eval_localiser(detector, data, classes, root, boxes, metrics, floor, coco_cap, as_json, progress)
        return
    if boxes or map_threshold is not None:
        raise SettingError("--boxes and --map-threshold are for models that localise; this one detects")
    if nms and nms not in METHODS:
        raise SettingError(f"--nms: '{nms}' is unknown{did_you_mean(nms, METHODS)}")
    if nms and nms != "hard" and detector.spec.outputs == "nms":
        raise SettingError(f"--nms {nms}: the graph of {model} suppresses inside")
    if nms and nms != "hard" and tiles:
        raise SettingError(f"--nms {nms} and --tiles: passes over tiles are joined by hard suppression only")
    if nms:
        detector.nms = nms
    samples = read_labelled(detector, data, classes, root, progress)
    cap = detector.max_detections
    if rules:
        detector.max_detections = NO_CAP
    run = judge(tiled(detector, tiles), samples, coco_cap, lambda done, n: progress.step(f"{done}/{n} pictures"))
    progress.clear()
    table = None
    if rules:
        table = ap_under_every_rule(run.judged)
        # The scores above the table are those without --rules.
        run = Run(run.judged.cut(cap=cap), run.settings | {"max_detections": cap})
    report = score(run, metrics)
    if as_json:
        click.echo(to_json(report, table))
    else:
        click.echo(to_text(report) + (f"\n\n{table.to_text()}" if table else ""))


def _eval_localiser(
    localiser: Localiser,
    data: str,
    classes: tuple[str, ...],
    root: Path,
    boxes: Path | None,
    metrics: tuple[str, ...],
    floor: float,
    coco_cap: int,
    as_json: bool,
    progress: Progress,
) -> None:
    from passerby.measure.localiser_report import evaluate_localiser
    from passerby.measure.picture_labels import load_pictures

    pictures = load_pictures(data, localiser.spec.labels, classes, root, boxes)
    _tell_reader(pictures.samples, data, progress)
    if not pictures.located.all():
        progress.line(f"{data}: the boxes of {(~pictures.located).sum()} pictures are not known; name them by --boxes")
    report = evaluate_localiser(
        localiser, pictures, floor, metrics, coco_cap, lambda done, n: progress.step(f"{done}/{n} pictures")
    )
    progress.clear()
    click.echo(report.to_json() if as_json else report.to_text())


def open_detector(
    model: str,
    floor: float | None,
    engine: str,
    threads: int,
    nms_iou: float | None,
    max_detections: int | None = None,
) -> Detector | Localiser:
    """A shipped model, an .onnx file or a checkpoint as what it is, with scores from `floor` on; None: its own."""
    from passerby.runtime.localiser import open_model

    if model.endswith(".safetensors"):
        return _from_checkpoint(Path(model), floor, nms_iou, max_detections)
    return open_model(model, floor, engine, threads, nms_iou, max_detections)


def read_labelled(
    detector: Detector | Localiser, data: str, classes: tuple[str, ...], root: Path, progress: Progress
) -> SampleSet:
    """The data set that a detector is measured on; what its reader changed is told on stderr.

    Raises DataError where it has no boxes, or no label in common with the detector.
    """
    from passerby.errors import DataError
    from passerby.measure.evaluate import labels_apart, load_boxes

    samples = load_boxes(data, classes or detector.spec.labels, root)
    if not samples.objects() and (own := labels_apart(data, detector.spec.labels, root)):
        raise DataError(f"{data}: has {list(own)}, the model finds {list(detector.spec.labels)}: no label in common")
    _tell_reader(samples, data, progress)
    return samples


def _tell_reader(samples: SampleSet, data: str, progress: Progress) -> None:
    """Why a format was taken, and what its reader changed."""
    from passerby.data.kinds import summary

    if samples.reason:
        progress.line(f"{data}: read as {samples.source}: {samples.reason}")
    if counts := summary(samples.note_counts()):
        progress.line(f"{samples.source}: the reader's notes: {counts}")


def _from_checkpoint(
    path: Path, floor: float | None, nms_iou: float | None, max_detections: int | None
) -> Detector | Localiser:
    """A checkpoint as a predictor; needs the extra [train]."""
    from passerby.cli.torch_wall import learn
    from passerby.runtime.localiser import model_of

    with learn():
        import torch

        from passerby.learn.checkpoint import load_network
        from passerby.learn.engine import TorchEngine

    network, spec, _ = load_network(path)
    engine = TorchEngine(network, torch.device("cpu"))
    return model_of(spec, engine, floor, nms_iou, max_detections)
