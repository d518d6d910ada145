"""passerby threshold: which threshold a model should use, chosen on labelled pictures and written into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from passerby.cli.options import engine_options

if TYPE_CHECKING:
    from passerby.measure.evaluate import Run
    from passerby.measure.operating_point import Choice
    from passerby.spec import ModelSpec

NEIGHBOURS = (-0.1, -0.05, 0.05, 0.1)  # of the chosen threshold, shown beside it


@click.command("threshold", short_help="Choose a model's threshold on labelled pictures and write it into it.")
@click.argument("model", metavar="MODEL")
@click.argument("data", metavar="DATA")
@click.option(
    "--by",
    required=True,
    metavar="RULE",
    help="f1, count, fppi=X, precision=X or recall=X, e.g. fppi=0.1.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write a copy; MODEL stays as it is.")
@click.option("--dry-run", is_flag=True, help="Only print.")
@click.option("--root", type=click.Path(path_type=Path), default=Path(), help="Relative DATA paths start here.")
@click.option(
    "--classes", multiple=True, metavar="NAME[=OLD+OLD]", help="What the model's labels are called in DATA; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--floor", default=0.01, show_default=True, help="No threshold under this is chosen.")
@click.option("--nms-iou", type=float, help="IoU over which the lower score is dropped; written into the model too.")
@click.option("--nms", metavar="hard|soft", help="How boxes on each other are suppressed; written into the model too.")
@engine_options
def command(
    model: str,
    data: str,
    by: str,
    out: Path | None,
    dry_run: bool,
    root: Path,
    classes: tuple[str, ...],
    as_json: bool,
    floor: float,
    nms_iou: float | None,
    nms: str | None,
    engine: str,
    threads: int,
) -> None:
    """Choose the threshold of MODEL on DATA by a rule, and write it into the model with its reason.

    f1: the highest F1. count: the least error in the number of objects a picture. fppi=0.1: the lowest threshold with
    at most 0.1 false positives a picture. precision=0.9: the lowest at which precision is still 0.9. recall=0.9: the
    highest at which recall is 0.9. A goal that no threshold reaches is an error that names what can be reached.

    DATA should be pictures that the model was not trained on. A shipped model is not changed: name a copy with --out.
    """
    import json

    from passerby.cli.eval import open_detector, read_labelled
    from passerby.cli.progress import Progress
    from passerby.measure.evaluate import judge
    from passerby.measure.operating_point import choose, numbers_at, parse_rule

    parse_rule(by)
    if not dry_run:
        _need_target(model, out)
    progress = Progress()
    detector = open_detector(model, floor, engine, threads, nms_iou)
    if nms:
        _set_suppression(detector, nms, model)
    samples = read_labelled(detector, data, classes, root, progress)
    run = judge(detector, samples, progress=lambda done, n: progress.step(f"{done}/{n} pictures"))
    progress.clear()
    choice = choose(run.judged, by)
    old = detector.spec.threshold
    near = {old, *(round(choice.threshold + step, 4) for step in NEIGHBOURS)}
    shown = sorted({choice.threshold, *(t for t in near if floor <= t <= 1)})  # under the floor nothing was measured
    table = {t: numbers_at(run.judged, t) for t in shown}
    if as_json:
        rows = [{"threshold": t, **row} for t, row in table.items()]
        facts = {"threshold": choice.threshold, "old": old, "rule": by, "words": choice.words}
        click.echo(json.dumps(_without_nan(facts | {"rows": rows, "settings": run.settings}), indent=1))
    else:
        click.echo(_to_text(run, choice, old, table))
    if dry_run:
        return
    spec = _with_reason(detector.spec, run, choice, table[choice.threshold])
    target = _write(model, spec, out)
    progress.line(f"{target}: threshold {old:g} -> {choice.threshold:g}")


def _set_suppression(detector: Any, nms: str, model: str) -> None:
    """Raises SettingError for a way that no model has of its own, or a graph that has its own inside."""
    from passerby.errors import SettingError, did_you_mean
    from passerby.spec import SUPPRESSION

    if nms not in SUPPRESSION:
        raise SettingError(f"--nms: '{nms}' is unknown{did_you_mean(nms, SUPPRESSION)}")
    if detector.spec.task != "detect" or detector.spec.outputs == "nms":
        why = "its graph suppresses inside" if detector.spec.task == "detect" else "it localises, nothing is suppressed"
        raise SettingError(f"--nms {nms}: not for {model}: {why}")
    detector.spec, detector.nms = detector.spec.with_(nms=nms), nms


def _need_target(model: str, out: Path | None) -> None:
    """Refuses what could not be written, before the model runs."""
    from passerby.errors import SettingError
    from passerby.runtime.model_file import find_model, is_shipped

    kind = Path(model).suffix if model.endswith(".safetensors") else ".onnx"
    if out is not None and out.suffix != kind:
        raise SettingError(f"--out {out}: the copy of {model} is a {kind} file; name it so")
    target = out or (Path(model) if kind != ".onnx" else find_model(model))
    if is_shipped(target):
        raise SettingError(f"{out or model}: ships with passerby and is not changed; name a copy with --out FILE.onnx")


def _with_reason(spec: ModelSpec, run: Run, choice: Choice, numbers: dict[str, float]) -> ModelSpec:
    """The spec with its threshold, the suppression it was chosen with, and why."""
    s = run.settings
    facts: dict[str, Any] = {
        "threshold_rule": f"{choice.words}, at IoU {s['match_iou']} on the pictures it was chosen on",
        "threshold_chosen_on": f"{s['data']}: {s['pictures']} pictures, {s['objects']} objects",
        "threshold_engine": s["engine"],
    }
    facts |= {f"threshold_{name}": round(value, 4) for name, value in numbers.items() if value == value}
    kept = {k: v for k, v in spec.provenance.items() if not k.startswith("threshold_")}  # of an earlier choice
    return spec.with_(threshold=choice.threshold, nms_iou=run.judged.nms_iou, provenance=kept | facts)


def _write(model: str, spec: ModelSpec, out: Path | None) -> Path:
    if model.endswith(".safetensors"):
        from passerby.cli.torch_wall import learn

        with learn():
            from passerby.learn.checkpoint import write_spec as write_checkpoint

        path = Path(model)
        write_checkpoint(path, spec, out or path)
    else:
        from passerby.runtime.model_file import find_model, write_spec

        path = find_model(model)
        write_spec(path, spec, out or path)
    return out or path


def _to_text(run: Run, choice: Choice, old: float, table: dict[float, dict[str, float]]) -> str:
    from passerby.measure.report import suppression_of

    s = run.settings
    heads = {"precision": "precision", "recall": "recall", "f1": "F1", "fppi": "FPPI"}
    heads |= {"count_mae": "count MAE", "count_bias": "too many"}
    lines = [
        f"{s['data']}: {s['pictures']} pictures, {s['objects']} objects; {s['engine']}",
        f"settings: IoU {s['match_iou']} for a hit; scores from {s['score_floor']:g}; {suppression_of(s)}; "
        f"at most {s['max_detections']} detections a picture",
        f"rule: {choice.words}",
        "",
        f"  {'threshold':<11}" + "".join(f"{h:>11}" for h in heads.values()),
    ]
    for threshold, row in table.items():
        marks = [m for t, m in ((choice.threshold, "chosen"), (old, "the model's")) if t == threshold]
        cells = "".join(f"{'-' if row[k] != row[k] else format(row[k], '.4f'):>11}" for k in heads)
        lines.append(f"  {threshold:<11.6g}{cells}  {' and '.join(marks)}".rstrip())
    return "\n".join([*lines, "", "FPPI: false positives a picture; count MAE, too many: objects a picture"])


def _without_nan(value: Any) -> Any:
    """For JSON, where what cannot be computed is null."""
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and value != value else value
