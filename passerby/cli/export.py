"""passerby export: a checkpoint -> one .onnx file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export", short_help="Turn a checkpoint into one .onnx file (extra [train]).")
@click.argument("checkpoint", type=click.Path(path_type=Path), metavar="CHECKPOINT")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The .onnx file.  [default: beside the checkpoint]",
)
@click.option("--name", default="", help="Name in the model's metadata; default: the recipe's.")
@click.option("--check", multiple=True, metavar="SOURCE", help="Pictures put through both; may be repeated.")
def command(checkpoint: Path, target: Path | None, name: str, check: tuple[str, ...]) -> None:
    """Write CHECKPOINT as ONNX: uint8 RGB in, boxes and scores out, everything about the model in its metadata.

    The same pictures (noise, and those of --check) go through the network and the file; when boxes differ by over
    0.1 px or scores by over 0.001, no file is written and the exit code is 9. Of a classifier scores and maps come
    out, and may differ by 0.00001.
    """
    from itertools import islice

    from passerby.cli.torch_wall import learn
    from passerby.media.sources import open_source

    frames = [f.pixels for source in check for f in islice(open_source(source), 32)]
    out = target or checkpoint.with_suffix(".onnx")
    with learn():
        from passerby.learn.to_onnx import export

        spec, parity = export(checkpoint, out, frames, name)
    click.echo(f"{out}: {spec.name}, {out.stat().st_size / 1e6:.2f} MB; {parity.told()}", err=True)
