"""passerby export: a checkpoint -> one .onnx file, and either of them -> files that other runtimes read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from passerby.deploy.targets.base import Job, Made, Target
    from passerby.deploy.targets.export import Exported
    from passerby.records import Pixels
    from passerby.spec import ModelSpec


def print_targets(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """--list: every target, what it makes, and the line that installs what is missing."""
    if not wanted or context.resilient_parsing:
        return
    from passerby.deploy.targets import TARGETS

    for name, target in TARGETS.items():
        need = target.missing()
        state = f"needs {need[0]}: pip install 'passerby[{need[1]}]'" if need else "installed"
        click.echo(f"{name:<11} {target.makes}")
        click.echo(
            f"{'':<11} outputs {', '.join(target.outputs)}; takes {', '.join(target.precisions)} models; {state}"
        )
        click.echo(f"{'':<11} {target.verified}")
    context.exit()


@click.command("export", short_help="Turn a checkpoint into .onnx, or a model into files of other runtimes.")
@click.argument("model", metavar="MODEL")
@click.option("--target", "kind", default="onnx", show_default=True, metavar="NAME", help="One of --list.")
@click.option("--to", "out", type=click.Path(path_type=Path), metavar="FILE", help="[default: beside the model]")
@click.option("--outputs", metavar="NAME", help="decoded boxes; raw logits and offsets; nms: suppressed inside.")
@click.option("--batch", type=click.Choice(["1", "free"]), default="1", show_default=True, help="Pictures at once.")
@click.option("--precision", type=click.Choice(["float32", "float16"]), default="float32", help="Of the weights.")
@click.option("--floor", default=0.01, show_default=True, help="Scores under this are dropped, with --outputs nms.")
@click.option("--name", default="", help="Name in the metadata, of a checkpoint or with --input and --mean.")
@click.option("--input", "size", metavar="WxH", help="Another input size, pixels: the same weights.")
@click.option("--mean", multiple=True, metavar="MODEL", help="Average the weights with this one's; may be repeated.")
@click.option(
    "--map-stride",
    type=click.IntRange(1),
    metavar="PIXELS",
    help="Of a classifier: finer maps, same weights.",
)
@click.option("--root", default="", metavar="DIR", help="With --map-stride: where the data of its recipe lies now.")
@click.option("--check", multiple=True, metavar="DATA", help="Pictures put through both; may be repeated.")
@click.option("--first", type=click.IntRange(1), metavar="N", help="Only the first N pictures of --check.")
@click.option("--accept-qualcomm-licence", "accept", is_flag=True, help="You have read the licence of the extra [qnn].")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout: files and certificate.")
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=print_targets, help="Show the targets."
)
def command(
    model: str,
    kind: str,
    out: Path | None,
    outputs: str | None,
    batch: str,
    precision: str,
    floor: float,
    name: str,
    size: str | None,
    mean: tuple[str, ...],
    map_stride: int | None,
    root: str,
    check: tuple[str, ...],
    first: int | None,
    accept: bool,
    as_json: bool,
) -> None:
    """Write MODEL, a checkpoint, a shipped name or an .onnx file of ours, for another runtime.

    A checkpoint becomes ONNX: uint8 RGB in, boxes and scores out, everything about the model in its metadata. The same
    pictures (noise, and those of --check) go through the network and the file; when boxes differ by over 0.1 px or
    scores by over 0.001, no file is written and the exit code is 9. With --map-stride the maps of a classifier get
    another stride: no weight changes, and both thresholds are chosen anew on the pictures that its recipe held out.

    --input makes a detector of the same weights for another input size: smaller is faster, larger finds smaller
    objects. What it costs and finds: `passerby tune MODEL --beside FILE --data DATA`. --mean averages the weights of
    networks that began alike, e.g. of a run and of what it went on from. Choose the threshold anew after either.

    Every other export ends with a certificate: the pictures of --check (any DATA of `passerby eval`; without it, drawn
    ones) go through MODEL and the new file, and beyond the limits of `passerby parity` nothing is written and the exit
    code is 9. Targets, and what was run of each: --list. docs/guides/export.md
    """
    from passerby.cli.options import parse_input
    from passerby.deploy.targets import target_of
    from passerby.deploy.targets.base import need_suffix
    from passerby.runtime.model_file import CHECKPOINT, is_shipped

    target = target_of(kind)
    if out:
        need_suffix(kind, target, out)
    if out and out.exists() and is_shipped(out):
        raise click.UsageError(f"--to {out}: ships with passerby and is not changed; name another file")
    checkpoint = Path(model).suffix == CHECKPOINT
    if map_stride and (size or mean):
        raise click.UsageError("--map-stride makes a file by itself; leave --input and --mean out")
    if map_stride:
        if not checkpoint:
            raise click.UsageError("--map-stride is for checkpoints: a model's graph is as it was made")
        if kind != "onnx":
            raise click.UsageError("--map-stride goes with --target onnx; export the file that it makes to the target")
        export_finer(Path(model), out or Path(model).with_suffix(".onnx"), map_stride, root, check, name)
        return
    learnt = checkpoint or bool(size or mean)  # torch writes the graph; else the graph that is there is changed
    sides = parse_input(size) if size else None
    stem = "-".join([Path(model).stem, *(["{}x{}".format(*sides)] if sides else []), *(["mean"] if mean else [])])
    if learnt and kind == "onnx" and outputs in (None, "decoded") and batch == "1" and precision == "float32":
        export_learnt(model, out or Path(model).with_name(f"{stem}.onnx"), check, name, sides, mean)
        return
    if name and not learnt:
        raise click.UsageError("--name is for checkpoints, --input and --mean: a model has its name")
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        source = model
        if learnt:
            source = str(Path(scratch) / f"{stem}.onnx")
            export_learnt(model, Path(source), (), name, sides, mean)

        def job_of(path: Path, spec: ModelSpec, line: Callable[[str], None]) -> Job:
            from passerby.deploy.targets.base import Job
            from passerby.deploy.targets.export import default_out

            place = Path(model).with_name(f"{stem}{Path(model).suffix}") if learnt else path
            goal = out or default_out(place, spec, kind, target, is_shipped(path))
            return Job(path, spec, goal, outputs, batch == "free", precision, floor, tell=line)

        done = export_model(source, kind, target, job_of, check, first, accept)
    tell(done, as_json)


def export_learnt(
    model: str,
    out: Path,
    check: tuple[str, ...],
    name: str,
    sides: tuple[int, int] | None = None,
    mean: tuple[str, ...] = (),
) -> None:
    """A checkpoint, or what is made of a model without training, as one .onnx file, proven to be the network."""
    from passerby.cli.torch_wall import learn

    if out.resolve() == Path(model).resolve():
        raise click.UsageError(f"--to {out}: that is the model itself; name another file")
    frames = [pixels for source in check for pixels in pictures_of(source)]
    with learn():
        from passerby.learn.derived import Derived, export_derived
        from passerby.learn.to_onnx import export

        if sides or mean:
            spec, parity = export_derived(model, out, Derived(sides, mean, name), frames)
            was = f"its threshold, {spec.threshold:g}, is that of {model}"
            click.echo(f"{was}: choose it anew by passerby threshold {out} DATA", err=True)
        else:
            spec, parity = export(Path(model), out, frames, name)
    click.echo(f"{out}: {spec.name}, {out.stat().st_size / 1e6:.2f} MB; {parity.told()}", err=True)


def pictures_of(source: str, most: int = 32) -> list[Pixels]:
    """The first pictures of a file, a folder, a video, or a data set as `passerby eval` names it."""
    from itertools import islice

    from passerby.data import load_data
    from passerby.media.sources import open_source
    from passerby.pictures import read_picture

    path, _, split = source.partition("#")
    if split or (":" in path and "://" not in path and not Path(path).exists()):
        return [read_picture(s.path) for s in load_data(source, ()).samples[:most]]
    return [frame.pixels for frame in islice(open_source(source), most)]


def export_finer(checkpoint: Path, out: Path, stride: int, root: str, check: tuple[str, ...], name: str) -> None:
    """A classifier's checkpoint as one .onnx file whose maps have another stride."""
    import tempfile

    from passerby.cli.progress import Progress
    from passerby.cli.torch_wall import learn

    with tempfile.TemporaryDirectory() as folder:
        finer = Path(folder) / checkpoint.name
        with learn():
            from passerby.learn.finer import refine

            spec = refine(checkpoint, finer, stride, Progress(), root, name)
        click.echo(f"thresholds chosen anew: score {spec.threshold:.4g}, map {spec.map_threshold:.4g}", err=True)
        export_learnt(str(finer), out, check, name)


def export_model(
    model: str,
    kind: str,
    target: Target,
    job_of: Callable[[Path, ModelSpec, Callable[[str], None]], Job],
    check: tuple[str, ...],
    first: int | None,
    accept: bool,
) -> Exported:
    """An .onnx file as another file, proven."""
    from dataclasses import replace

    from passerby.cli.options import read_all
    from passerby.cli.progress import Progress
    from passerby.deploy import qnn
    from passerby.deploy.qnn_licence import need_accepted
    from passerby.deploy.targets.base import need_installed
    from passerby.deploy.targets.export import export_to
    from passerby.runtime.model_file import find_model, read_spec

    need_installed(target)
    if kind == "dlc" and qnn.is_installed():
        need_accepted(accept)
    path = find_model(model)
    spec = read_spec(path)
    progress = Progress()
    data = read_all(check, spec.labels, Path(), progress) if check else None
    if data and first:
        data = replace(data, samples=data.samples[:first])
    job = job_of(path, spec, progress.line)
    make = maker_of(kind, target)
    done = export_to(kind, target, make, job, data, progress=lambda n, of: progress.step(f"{n}/{of} pictures"))
    progress.clear()
    return done


def maker_of(kind: str, target: Target) -> Callable[[Job], Made]:
    """The function that makes a target: `learn`'s where its converter needs torch."""
    if target.torch:
        from passerby.cli.torch_wall import learn

        with learn():
            from passerby.learn.targets import MAKERS as LEARNT

            return LEARNT[kind]
    from passerby.deploy.targets import MAKERS

    return MAKERS[kind]


def tell(done: Exported, as_json: bool) -> None:
    """What was written, what to know about it, and the certificate or why there is none."""
    import json

    files = [str(p) for p in done.files]
    made, certificate = done.made, done.certificate
    if as_json:
        record = certificate.record() if certificate else None
        facts = {"files": files, "notes": list(made.notes), "run_by": made.by, "unproven": made.unproven}
        click.echo(json.dumps({**facts, "certificate": record}, indent=1))
        return
    click.echo(f"{', '.join(files)}: {made.spec.name}, {made.spec.precision}, {made.spec.outputs} outputs")
    for line in made.notes:
        click.echo(f"* {line}")
    if certificate:
        click.echo(f"\n{certificate.told()}")
    if made.by:
        click.echo(f"what ran: {made.by}")
    if made.unproven:
        click.echo(f"no certificate: {made.unproven}")
