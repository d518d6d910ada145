"""passerby eval: how good is a model on labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from passerby.cli.options import engine_options, threshold_option

if TYPE_CHECKING:
    from passerby.runtime.detector import Detector


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
@click.option("--max-detections", type=int, help="A picture; default: the model's own.")
@click.option("--coco-cap", default=100, show_default=True, help="Detections a picture that COCO AP looks at.")
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
    max_detections: int | None,
    coco_cap: int,
    engine: str,
    threads: int,
) -> None:
    """Measure MODEL (a shipped name, an .onnx file, or a checkpoint) on DATA.

    DATA is format:path#split, for example voc:scut_head#val_B or coco:person_boxes#valid; without a format it is
    found out by looking. --classes head=face+Head says what stands for the label head there. --threshold sets the
    operating point of precision, recall and miss rate; AP and MR^-2 use every score from --floor on.
    """
    import importlib.util

    from passerby.cli.progress import Progress
    from passerby.data import load_data
    from passerby.data.kinds import summary
    from passerby.errors import DataError, SettingError
    from passerby.measure.evaluate import METRICS, evaluate, load_boxes
    from passerby.measure.report import to_json, to_text
    from passerby.runtime.detector import Detector

    if coco_cap < 1:
        raise SettingError(f"--coco-cap is {coco_cap}, want at least 1")
    progress = Progress()
    if model.endswith(".safetensors"):
        detector = _from_checkpoint(Path(model), floor, nms_iou, max_detections)
    else:
        detector = Detector(model, floor, engine, threads, nms_iou, max_detections)
    if threshold is not None:
        if not 0 <= threshold <= 1:
            raise SettingError(f"--threshold is {threshold}, want a number from 0 to 1")
        detector.spec = detector.spec.with_(threshold=threshold)
    samples = load_boxes(data, classes or detector.spec.labels, root)
    if not samples.objects():
        own = load_data(data, (), root).labels
        if own and not set(own) & set(detector.spec.labels):
            raise DataError(
                f"{data}: has {list(own)}, the model finds {list(detector.spec.labels)}: no label in common"
            )
    if samples.reason:
        progress.line(f"{data}: read as {samples.source}: {samples.reason}")
    if counts := summary(samples.note_counts()):
        progress.line(f"{samples.source}: the reader's notes: {counts}")
    metrics = tuple(METRICS)
    if importlib.util.find_spec("hotcoco") is None:
        metrics = tuple(m for m in metrics if m != "coco")
        progress.line("COCO AP is left out: pip install 'passerby[measure]'")
    report = evaluate(detector, samples, metrics, coco_cap, lambda done, n: progress.step(f"{done}/{n} pictures"))
    progress.clear()
    click.echo(to_json(report) if as_json else to_text(report))


def _from_checkpoint(path: Path, floor: float, nms_iou: float | None, max_detections: int | None) -> Detector:
    """A checkpoint as a predictor; needs the extra [train]."""
    from passerby.cli.torch_wall import learn
    from passerby.runtime.detector import Detector

    with learn():
        import torch

        from passerby.learn.checkpoint import load_network
        from passerby.learn.engine import TorchEngine

    network, spec, _ = load_network(path)
    engine = TorchEngine(network, torch.device("cpu"))
    return Detector.of(spec, engine, floor, nms_iou, max_detections)
