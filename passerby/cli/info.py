"""passerby info: what a model is, where it comes from, and what each layer costs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from passerby.spec import Layer


@click.command("info", short_help="Print a model's card, and what each layer costs.")
@click.argument("model", required=False, metavar="[MODEL]")
@click.option("--json", "as_json", is_flag=True, help="All facts as one JSON document on stdout.")
def command(model: str | None, as_json: bool) -> None:
    """Print the card of MODEL (a shipped name or an .onnx file), its settings, and a table of its layers.

    Without MODEL: the shipped models.
    """
    from passerby.runtime.model_file import find_model, read_spec, shipped_models

    if model is None:
        for name, path in shipped_models().items():
            spec = read_spec(path)
            click.echo(
                f"{name:<12}{'/'.join(spec.labels)}, {spec.width} x {spec.height}, {path.stat().st_size / 1e6:.1f} MB"
            )
        return
    path = find_model(model)
    spec = read_spec(path)
    if as_json:
        click.echo(spec.to_json())
        return
    card = path.with_suffix(".md")
    if card.is_file():
        click.echo(card.read_text(encoding="utf-8").strip() + "\n")
    click.echo(f"{spec.name}: {'/'.join(spec.labels)}; {path} ({path.stat().st_size / 1e6:.2f} MB)")
    click.echo(
        f"input {spec.width} x {spec.height} RGB bytes, {spec.resize}; {sum(map(len, spec.anchors))} default boxes"
    )
    for a in spec.anchors:
        sizes = ", ".join(f"{w:.1f} x {h:.1f}" for w, h in a.sizes)
        click.echo(f"  {a.columns:>3} x {a.rows:<3} cells: {sizes} px")
    click.echo(
        f"threshold {spec.threshold:g}; suppression at IoU {spec.nms_iou:g}; at most {spec.max_detections} detections"
    )
    for group in (spec.network, spec.provenance):
        for key, value in group.items():
            click.echo(f"  {key.replace('_', ' ')}: {value}")
    if spec.layers:
        click.echo("\n" + layer_table(spec.layers))


def layer_table(layers: Sequence[Layer]) -> str:
    """One line a layer, and the sums."""
    rows = [f"{'layer':<34}{'kind':<28}{'output':>16}{'parameters':>12}{'multiply-adds':>15}{'memory, KiB':>13}"]
    for x in layers:
        shape = " x ".join(map(str, x.shape))
        rows.append(f"{x.name:<34}{x.kind:<28}{shape:>16}{x.parameters:>12,}{x.macs:>15,}{x.memory / 1024:>13,.1f}")
    parameters, macs, memory = (sum(getattr(x, k) for x in layers) for k in ("parameters", "macs", "memory"))
    rows.append(f"{'sum':<34}{'':<28}{'':>16}{parameters:>12,}{macs:>15,}{memory / 1024:>13,.1f}")
    rows.append("memory: each layer's output at float32, all added up; an engine that reuses buffers needs less")
    return "\n".join(rows)
