"""passerby info: what a model is, where it comes from, and what each layer costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from passerby.spec import METADATA_KEY, Layer, ModelSpec

if TYPE_CHECKING:
    from passerby.runtime.layer_costs import GraphCosts


NOT_RUN = (".pte", ".mlpackage", ".dlc")  # exports that no engine here runs


@click.command("info", short_help="Print a model's card, or a recipe's network, and what each layer costs.")
@click.argument("model", required=False, metavar="[MODEL]")
@click.option("--all", "every", is_flag=True, help="A row for every operator, not only for those that multiply.")
@click.option("--json", "as_json", is_flag=True, help="All facts as one JSON document on stdout.")
def command(model: str | None, every: bool, as_json: bool) -> None:
    """Print the card of MODEL, its settings, and a table of its layers, counted from the file itself.

    MODEL is a shipped name or a file: .onnx, OpenVINO .xml, .tflite, ncnn's .param, ExecuTorch's .pte or Core ML's
    .mlpackage, passerby's or another maker's; no engine but ONNX Runtime is needed. The table shows operators that
    multiply, and sums of the others; the peak of memory is that of tensors alive at one moment.
    docs/guides/parity.md says how all of it is counted. Qualcomm's .dlc is not public: of the .onnx beside it.

    MODEL may also be a recipe (a shipped name or a .py file): its untrained network is built and counted, and set
    beside what was published of it; this needs the extra [train]. Without MODEL: the shipped models.
    """
    from passerby.runtime.model_file import find_model, is_ours, read_spec, shipped_models

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
    if Path(model).suffix.lower() in NOT_RUN and Path(model).exists():
        tell_file(Path(model), spec_with(Path(model)), every, as_json)
        return
    path = find_model(model)
    tell_file(path, read_spec(path) if is_ours(path) else None, every, as_json)


def spec_with(path: Path) -> ModelSpec | None:
    """The spec that an export left as .json beside a file, or in a Core ML package; None: another maker's."""
    from passerby.runtime.blueprint_coreml import read_note
    from passerby.runtime.formats import read_beside

    beside = path.with_suffix(".json")
    if beside.is_file():
        return ModelSpec.from_json(read_beside(path), str(beside))
    text = read_note(path, METADATA_KEY) if path.suffix.lower() == ".mlpackage" else None
    return ModelSpec.from_json(text, str(path)) if text else None


def tell_file(path: Path, spec: ModelSpec | None, every: bool, as_json: bool) -> None:
    """Print all about a model's file; spec: None for another maker's."""
    import json

    from passerby.cli.costs_text import as_record, as_table
    from passerby.errors import ModelError
    from passerby.runtime.costs import costs_of_layers
    from passerby.runtime.formats import bytes_of
    from passerby.runtime.tuned import find_choice

    costs, why = None, ""
    try:
        costs = costs_of_layers(path)
    except ModelError as e:
        if spec is None:
            raise
        why = str(e)  # a format that is not counted: all else is known
    if as_json:
        facts = json.loads(spec.to_json()) if spec else {}
        click.echo(json.dumps(facts | {"file": {"bytes": bytes_of(path), **as_record(costs, why)}}))
        return
    card = path.with_suffix(".md")
    if spec and card.is_file():
        click.echo(card.read_text(encoding="utf-8").strip() + "\n")
    what = f"{spec.name}: {'/'.join(spec.labels)}" if spec else f"{path.stem}: another maker's"
    click.echo(f"{what}; {path} ({bytes_of(path) / 1e6:.2f} MB)")
    if spec:
        click.echo(facts_of(spec))
        for choice in (find_choice(path), find_choice(path, 2)):
            if choice:
                click.echo(f"for {choice.goal} on this machine, --engine auto: {choice.engine}, {choice.told()}")
    click.echo("\n" + (as_table(costs, every) if costs else why))
    if spec and spec.layers and not costs:
        click.echo(f"\nthe network that it was made of, as trained:\n{layer_table(spec.layers)}")
    if costs and spec:
        click.echo("\n" + "\n".join(sums_of(spec, costs)))


def sums_of(spec: ModelSpec, costs: GraphCosts) -> list[str]:
    """The sums of the network as trained beside those of the file, and what was published of its family."""
    from passerby.runtime.published import reference_of, rounded

    lines = []
    if spec.layers:
        parameters, macs, memory = (sum(getattr(x, k) for x in spec.layers) for k in ("parameters", "macs", "memory"))
        lines.append(
            f"as trained, batch norm not folded: {parameters:,} parameters, {macs / 1e6:,.1f} M multiply-adds, "
            f"{memory / 2**20:.1f} MiB of outputs of layers that multiply, at float32"
        )
    if published := reference_of(spec):
        lines.append(
            f"published of {published.source}: {rounded(published.parameters)} parameters, "
            f"{rounded(published.macs)} multiply-adds, {published.memory} MiB needed to run"
        )
        lines.append(f"  why they differ: `passerby info mb2-ssd-lite-f38`; here {costs.peak.bytes / 2**20:.1f} MiB of "
                     f"activations are alive at most, beside {costs.stored / 2**20:.1f} MiB of weights")  # fmt: skip
    return lines


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
            f"no model or recipe '{model}'{did_you_mean(model, {*models, *recipes})}; or give an .onnx or a .py file"
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
        click.echo("\n" + layer_table(spec.layers))
        lines = compare_with_published(recipe)
    if lines:
        click.echo("\n" + "\n".join(lines))


def facts_of(spec: ModelSpec) -> str:
    """Input, default boxes, settings and provenance, for people."""
    from passerby.measure.report import suppression_of

    localises = spec.task == "localise"
    gives = "a score of the whole picture, and maps" if localises else f"{sum(map(len, spec.anchors)):,} default boxes"
    lines = [f"input {spec.width} x {spec.height} RGB bytes, {spec.resize}; {gives}"]
    for a in spec.anchors:
        sizes = ", ".join(f"{w:.1f} x {h:.1f}" for w, h in a.sizes)
        lines.append(f"  {a.columns:>3} x {a.rows:<3} cells: {sizes} px")
    how = (
        f"regions from {spec.map_threshold:g} of a map's range"
        if localises
        else f"{suppression_of(vars(spec))}; at most {spec.max_detections} detections"
    )
    lines.append(f"threshold {spec.threshold:g}; {how}")
    for group in (spec.network, spec.provenance):
        lines += [f"  {key.replace('_', ' ')}: {_told(key, value)}" for key, value in group.items()]
    return "\n".join(lines)


def layer_table(layers: Sequence[Layer]) -> str:
    """One line a layer of a network that is no file yet, and the sums."""
    rows = [f"{'layer':<34}{'kind':<28}{'output':>16}{'parameters':>12}{'multiply-adds':>15}{'memory, KiB':>13}"]
    for x in layers:
        shape = " x ".join(map(str, x.shape))
        rows.append(f"{x.name:<34}{x.kind:<28}{shape:>16}{x.parameters:>12,}{x.macs:>15,}{x.memory / 1024:>13,.1f}")
    parameters, macs, memory = (sum(getattr(x, k) for x in layers) for k in ("parameters", "macs", "memory"))
    rows.append(f"{'sum':<34}{'':<28}{'':>16}{parameters:>12,}{macs:>15,}{memory / 1024:>13,.1f}")
    rows.append("memory: each layer's output at float32, all added up; an engine that reuses buffers needs less")
    return "\n".join(rows)


def _told(key: str, value: Any) -> str:
    """A fact in words; a certificate in one line."""
    if key != "certificate" or not isinstance(value, dict):
        return str(value)
    from passerby.deploy.parity_report import summary

    return summary(value)
