"""passerby tune: the engine and threads that run a model fastest on this machine, measured and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from passerby.cli.progress import Progress
    from passerby.deploy.tune import Judged, Timed, Tuning
    from passerby.records import Pixels, SampleSet
    from passerby.runtime.tuned import Choice
    from passerby.spec import ModelSpec

PICTURES = 8  # of the data that are timed on
JUDGED = 300  # of the data that accuracy is measured on, at most


@click.command("tune", short_help="Choose a model's engine and threads by measuring on this machine.")
@click.argument("model", required=False, metavar="[MODEL]")
@click.option("--data", metavar="DATA", help="Pictures to measure on, labelled or not; default: noise.")
@click.option("--root", type=click.Path(path_type=Path), default=Path(), help="A relative DATA path starts here.")
@click.option(
    "--for",
    "goal",
    default="latency",
    show_default=True,
    metavar="latency|throughput",
    help="One picture at a time, or as many at once as there are cores (live, serve).",
)
@click.option("--beside", multiple=True, metavar="FILE", help="Another file, of any input size, for comparison.")
@click.option("--rounds", default=10, show_default=True, help="Turns of each candidate, 8 pictures each.")
@click.option("--forget", is_flag=True, help="Undo: remove the choices for MODEL, or all of them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    model: str | None,
    data: str | None,
    root: Path,
    goal: str,
    beside: tuple[str, ...],
    rounds: int,
    forget: bool,
    as_json: bool,
) -> None:
    """Measure MODEL with every engine that is installed, by threads, in turns, and keep the fastest for this machine.

    --engine auto uses the choice from then on, and says so behind the engine's name ("tuned: 1 thread"). What does not
    win by more than noise, measured twice, is a tie: the default stays. The file that runs is the same, so nothing is
    retrained or converted; but OpenVINO multiplies in bfloat16 where the processor can, as it does by default, and
    other engines in float32: `passerby parity MODEL MODEL DATA --engine openvino,onnxruntime` shows what that moves.

    Other files of --beside (INT8, other input sizes by `passerby export --input`) answer differently, so that none is
    ever chosen by itself: with labelled DATA the accuracy of each stands beside its time, and the choice is yours.

    A choice is kept in passerby/tuned.json of $XDG_CONFIG_HOME (else ~/.config), and holds for this very file, this
    processor and this number of cores. It is ignored where --engine or --threads is given, and where PASSERBY_NO_TUNE
    is set. Without MODEL: what is kept.
    """
    from passerby.cli.progress import Progress

    progress = Progress()
    if forget:
        _forget(model, progress)
        return
    if model is None:
        _list(as_json)
        return
    path, spec = _open(model)
    others = [_open(b) for b in beside]
    from passerby.deploy.tune import list_candidates, tune

    candidates = list_candidates(path, spec, goal, others)
    for other, _ in others:
        progress.line(f"{other.name}: another file, which is never chosen by itself: name it to use it")
    samples = _samples(data, root, spec.labels if others else ())
    pictures = _pictures(spec, samples)
    done = tune(candidates, pictures, goal, rounds, lambda n, of: progress.step(f"{n}/{of} turns"))
    judged = _judge([(path, spec), *others], samples, progress) if others else []
    progress.clear()
    kept = _keep(path, goal, done)
    if as_json:
        click.echo(_as_json(done, judged, kept, goal))
        return
    click.echo("\n".join([*_table(done), *_accuracy(done, judged, samples), "", *_said(done, kept, data)]))


def _open(model: str) -> tuple[Path, ModelSpec]:
    """Raises ModelError for another maker's file: its engine is chosen by --engine."""
    from passerby.runtime.model_file import find_model, read_spec

    path = find_model(model)
    return path, read_spec(path)


def _samples(data: str | None, root: Path, labels: Sequence[str]) -> SampleSet | None:
    from passerby.data import load_data

    return None if data is None else load_data(data, labels, root)


def _pictures(spec: ModelSpec, samples: SampleSet | None) -> list[Pixels]:
    """(H, W, 3) each: the first of the data, or noise of the model's size, which takes as long."""
    import numpy as np

    from passerby.pictures import read_picture

    if samples is None:
        return [np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 3), np.uint8)]
    return [read_picture(s.path) for s in samples.samples[:PICTURES]]


def _judge(files: Sequence[tuple[Path, ModelSpec]], samples: SampleSet | None, progress: Progress) -> list[Judged]:
    """Accuracy of each file where the data is labelled and all are detectors; else nothing."""
    from dataclasses import replace

    from passerby.deploy.quantise.pictures import spread
    from passerby.deploy.tune import judge_files

    if samples is None or not samples.objects() or any(s.task != "detect" for _, s in files):
        return []
    some = replace(samples, samples=tuple(spread(samples.samples, JUDGED)))
    return judge_files(files, some, lambda n, of: progress.step(f"accuracy: {n}/{of} pictures"))


def _keep(path: Path, goal: str, done: Tuning) -> Choice | None:
    """Store what won; what was kept for this file, machine and goal before is removed."""
    from passerby.errors import PasserbyError
    from passerby.measure.machine import machine_card
    from passerby.runtime.tuned import Choice, machine_key, sha256_of, tuned_path, write_choices

    own = sha256_of(path)
    try:
        others = [c for c in _read() if (c.sha256, c.machine, c.goal) != (own, machine_key(), goal)]
    except PasserbyError:
        others = []  # a file that cannot be read is written anew
    choice = None
    if won := done.chosen:
        facts = {
            "engine": won.name, "ms": round(won.typical, 3), "default": done.rows[0].name,
            "default_ms": round(done.rows[0].typical, 3), "times": round(done.again.value, 3),
            "low": round(done.again.low, 3), "high": round(done.again.high, 3), "date": machine_card()["date"],
        }  # fmt: skip
        candidate = won.candidate
        size = path.stat().st_size
        choice = Choice(path.name, own, size, machine_key(), goal, candidate.engine, candidate.threads, facts)
    if choice or others or tuned_path().is_file():
        write_choices([*others, *([choice] if choice else [])])
    return choice


def _read() -> list[Choice]:
    """What is kept. Raises SettingError, with the way out, where it cannot be read."""
    from passerby.errors import SettingError
    from passerby.runtime.tuned import read_choices, tuned_path

    try:
        return read_choices()
    except (OSError, ValueError) as e:
        raise SettingError(f"{tuned_path()}: cannot be read ({e}); `passerby tune --forget` removes it") from e


def _forget(model: str | None, progress: Progress) -> None:
    from passerby.runtime.model_file import find_model
    from passerby.runtime.tuned import sha256_of, tuned_path, write_choices

    if model is None:
        was = tuned_path().is_file()
        write_choices([])
        progress.line("all choices are forgotten" if was else "nothing was kept")
        return
    own, choices = sha256_of(find_model(model)), _read()
    left = [c for c in choices if c.sha256 != own]
    if len(left) < len(choices):
        write_choices(left)
    progress.line(
        f"{model}: {len(choices) - len(left) or 'no'} choice{'s' if len(choices) - len(left) != 1 else ''} forgotten"
    )


def _list(as_json: bool) -> None:
    import json
    from dataclasses import asdict

    choices = _read()
    if as_json:
        click.echo(json.dumps([asdict(c) for c in choices]))
        return
    for c in choices:
        click.echo(
            f"{c.model}, {c.goal}: {c.engine}, {c.told()}; on {c.machine}; {c.facts.get('times', '?')} times as fast"
        )
    if not choices:
        click.echo("nothing is kept: every model runs on the default engine; `passerby tune MODEL` measures")


def _table(done: Tuning) -> list[str]:
    """A row a candidate, the default first."""
    lines = [f"{'file':<24}{'engine':<36}{'threads':>8}{'ms a picture':>14}   beside the default"]
    for k, row in enumerate(done.rows):
        c, s = row.candidate, row.share
        beside = "the default" if not k else f"{s.value:.2f} ({s.low:.2f} to {s.high:.2f}) times as fast"
        beside += ": a tie" if k and s.tie else ""
        name = " ".join([c.engine, *row.name.split()[1:]])  # tells openvino-f32 from openvino where both run int8
        lines.append(f"{c.path.name:<24}{name:<36}{c.threads or 'its own':>8}{row.typical:>14.2f}   {beside}")
    return lines


def _accuracy(done: Tuning, judged: Sequence[Judged], samples: SampleSet | None) -> list[str]:
    """A row a file: its input, what it finds, and its fastest time."""
    if not judged or samples is None:
        return []
    lines = ["", f"{'file':<24}{'input':>12}{'AP50':>9}{'MR^-2':>9}{'ms, fastest':>14}"]
    for row in judged:
        fastest = min(r.typical for r in done.rows if r.candidate.path == row.path)
        size = f"{row.spec.width} x {row.spec.height}"
        lines.append(f"{row.path.name:<24}{size:>12}{row.ap50:>9.4f}{row.mr2:>9.4f}{fastest:>14.2f}")
    return [*lines, f"of {samples.source}: at most {JUDGED} pictures, scores from 0.01, each file's default engine"]


def _said(done: Tuning, kept: Choice | None, data: str | None) -> list[str]:
    """What was chosen and why, what was not tried, and how to undo it."""
    from passerby.runtime.tuned import tuned_path

    again, best = done.again, done.best
    spread = f"{again.value:.2f} ({again.low:.2f} to {again.high:.2f}) times as fast as the default"
    if kept:
        lines = [
            f"measured once more: {spread}",
            f"kept in {tuned_path()}: --engine auto runs it by {best.name}, {kept.told()}",
            "undo: passerby tune --forget",
        ]
        if best.name.split()[-1] != done.rows[0].name.split()[-1]:
            lines.append(
                "the precision of the arithmetic changes with it: passerby parity shows by how much answers move"
            )
    elif best is done.rows[0]:
        lines = ["the default is the fastest: it stays"]
    else:
        lines = [f"{_way(best)} measured once more: {spread}, inside the noise: the default stays"]
    return [
        *lines,
        f"on {'pictures of ' + data if data else 'noise'}; the graph alone is timed. Another input size is another "
        "file: passerby export MODEL --input WxH, then --beside it",
    ]


def _way(row: Timed) -> str:
    n = row.candidate.threads
    return f"{row.name} with {n or 'its own'} thread{'' if n == 1 else 's'},"


def _as_json(done: Tuning, judged: Sequence[Judged], kept: Choice | None, goal: str) -> str:
    import json
    from dataclasses import asdict

    rows: list[dict[str, Any]] = [
        {
            "file": r.candidate.path.name, "engine": r.name, "kind": r.candidate.engine,
            "threads": r.candidate.threads, "ms": round(r.typical, 4), "rival": r.candidate.rival,
            "share": asdict(r.share),
        }
        for r in done.rows
    ]  # fmt: skip
    again = asdict(done.again)
    files = [
        {
            "file": j.path.name, "width": j.spec.width, "height": j.spec.height,
            "ap50": round(j.ap50, 6), "mr2": round(j.mr2, 6),
        }
        for j in judged
    ]  # fmt: skip
    chosen = asdict(kept) if kept else None
    return json.dumps({"goal": goal, "rows": rows, "files": files, "again": again, "chosen": chosen}, indent=1)
