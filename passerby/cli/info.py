"""passerby info: what a model is, where it comes from, and what each layer costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from passerby.spec import Layer, ModelSpec


@click.command("info", short_help="Print a model's card, or a recipe's network, and what each layer costs.")
@click.argument("model", required=False, metavar="[MODEL]")
@click.option("--json", "as_json", is_flag=True, help="All facts as one JSON document on stdout.")
def command(model: str | None, as_json: bool) -> None:
    """Print the card of MODEL (a shipped name or an .onnx file), its settings, and a table of its layers.

    MODEL may also be a recipe (a shipped name or a .py file): its untrained network is built and counted, and set
    beside what was published of it; this needs the extra [train]. Without MODEL: the shipped models.
    """
    from passerby.runtime.model_file import find_model, read_spec, shipped_models

    if model is None:
        for name, path in shipped_models().items():
            spec = read_spec(path)
            click.echo(
                f"{name:<12}{'/'.join(spec.labels)}, {spec.width} x {spec.height}, {path.stat().st_size / 1e6:.1f} MB"
            )
        return
    if names_recipe(model):
        tell_recipe(model, as_json)
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
    click.echo(facts_of(spec))


def names_recipe(model: str) -> bool:
    """Whether a name is of a recipe and of no model. Raises SettingError for a bare name that is of neither."""
    from passerby.errors import SettingError, did_you_mean
    from passerby.recipe import shipped_recipes
    from passerby.runtime.model_file import shipped_models

    path = Path(model)
    models, recipes = shipped_models(), shipped_recipes()
    if model in models or path.suffix == ".py":
        return model not in models
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return False
    if model.replace("_", "-") not in recipes:
        raise SettingError(
            f"no model or recipe '{model}'{did_you_mean(model, [*models, *recipes])}; or give an .onnx or a .py file"
        )
    return True


def tell_recipe(recipe: str, as_json: bool) -> None:
    """Print the untrained network of a recipe, and what was published of it beside ours."""
    from passerby.cli.torch_wall import learn
    from passerby.recipe import load_recipe

    chosen = load_recipe(recipe)
    with learn():
        from passerby.learn.published import compare_with_published, cost_of

        _, spec, layers = cost_of(chosen.model)
        spec = spec.with_(layers=layers)
        if as_json:
            click.echo(spec.to_json())
            return
        click.echo(f"{chosen.name}: {'/'.join(spec.labels)}; the untrained network of recipe {recipe}")
        click.echo(facts_of(spec))
        lines = compare_with_published(recipe)
    if lines:
        click.echo("\n" + "\n".join(lines))


def facts_of(spec: ModelSpec) -> str:
    """Input, default boxes, settings, provenance and layers, for people."""
    localises = spec.task == "localise"
    gives = "a score of the whole picture, and maps" if localises else f"{sum(map(len, spec.anchors)):,} default boxes"
    lines = [f"input {spec.width} x {spec.height} RGB bytes, {spec.resize}; {gives}"]
    for a in spec.anchors:
        sizes = ", ".join(f"{w:.1f} x {h:.1f}" for w, h in a.sizes)
        lines.append(f"  {a.columns:>3} x {a.rows:<3} cells: {sizes} px")
    how = (
        f"regions from {spec.map_threshold:g} of a map's range"
        if localises
        else f"suppression at IoU {spec.nms_iou:g}; at most {spec.max_detections} detections"
    )
    lines.append(f"threshold {spec.threshold:g}; {how}")
    for group in (spec.network, spec.provenance):
        lines += [f"  {key.replace('_', ' ')}: {value}" for key, value in group.items()]
    if spec.layers:
        lines += ["", layer_table(spec.layers)]
    return "\n".join(lines)


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
