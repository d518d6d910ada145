"""passerby tune: the engine and threads that run a model fastest on this machine, measured and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from passerby.cli.progress import Progress
    from passerby.deploy.tune import Timed, Tuning
    from passerby.records import Pixels
    from passerby.runtime.tuned import Choice
    from passerby.spec import ModelSpec

PICTURES = 8  # of the data that are measured on


@click.command("tune", short_help="Choose a model's engine and threads by measuring on this machine.")
@click.argument("model", required=False, metavar="[MODEL]")
@click.option("--data", metavar="DATA", help="Pictures to measure on; default: noise, which takes as long.")
@click.option("--root", type=click.Path(path_type=Path), default=Path(), help="A relative DATA path starts here.")
@click.option(
    "--for",
    "goal",
    default="latency",
    show_default=True,
    metavar="latency|throughput",
    help="One picture at a time, or as many at once as there are cores (live, serve).",
)
@click.option("--beside", multiple=True, metavar="FILE", help="Another file of the model, measured for comparison.")
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
    pictures = _pictures(spec, data, root, [s for _, s in others])
    done = tune(candidates, pictures, goal, rounds, lambda n, of: progress.step(f"{n}/{of} turns"))
    progress.clear()
    kept = _keep(path, goal, done)
    if as_json:
        click.echo(_as_json(done, kept, goal))
        return
    click.echo("\n".join([*_table(done), "", *_said(spec, done, kept, data)]))


def _open(model: str) -> tuple[Path, ModelSpec]:
    """Raises ModelError for another maker's file: its engine is chosen by --engine."""
    from passerby.runtime.model_file import find_model, read_spec

    path = find_model(model)
    return path, read_spec(path)


def _pictures(spec: ModelSpec, data: str | None, root: Path, others: Sequence[ModelSpec]) -> list[Pixels]:
    """As the model's input, (1, H, W, 3) each. Raises SettingError where files to compare take another size."""
    import numpy as np

    from passerby.data import load_data
    from passerby.errors import SettingError
    from passerby.runtime.detector import as_input

    for other in others:
        if (other.width, other.height) != (spec.width, spec.height):
            raise SettingError(
                f"{other.name}: takes {other.width} x {other.height}, {spec.name} takes {spec.width} x {spec.height}; "
                "compare files of one size"
            )
    if data is None:
        return [np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), np.uint8)]
    return [as_input(s.path, spec)[0] for s in load_data(data, (), root).samples[:PICTURES]]


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


def _said(spec: ModelSpec, done: Tuning, kept: Choice | None, data: str | None) -> list[str]:
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
        f"on {'pictures of ' + data if data else 'noise'}; the graph alone is timed. Its input is fixed at "
        f"{spec.width} x {spec.height} in the file: another size is another training or export",
    ]


def _way(row: Timed) -> str:
    n = row.candidate.threads
    return f"{row.name} with {n or 'its own'} thread{'' if n == 1 else 's'},"


def _as_json(done: Tuning, kept: Choice | None, goal: str) -> str:
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
    return json.dumps({"goal": goal, "rows": rows, "again": again, "chosen": asdict(kept) if kept else None}, indent=1)
