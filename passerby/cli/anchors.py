"""passerby anchors: default boxes for a data set, and the best recall that each choice of them allows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from passerby.cli.options import data_options

if TYPE_CHECKING:
    from passerby.data.box_rules import Question
    from passerby.data.default_boxes import Analysis
    from passerby.spec import AnchorMap


@click.command("anchors", short_help="Propose default boxes for a data set, and say what they can recall.")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@data_options
@click.option(
    "--input", "size", metavar="WxH", help="The network's input.  [default: 300x300, or --model's, --recipe's]"
)
@click.option(
    "--resize", metavar="stretch|bounded|letterbox", help="Picture to input.  [default: stretch, or as --input]"
)
@click.option(
    "--layout", metavar="NAME", help="Maps of this layout (f38, six, ssd300, ...).  [default: --model's, --recipe's]"
)
@click.option(
    "--strides", metavar="N,N,...", help="Or maps at these pixels a cell, finest first.  [default: 8,16,32,64]"
)
@click.option("--per-map", default="2", show_default=True, help="Boxes a cell: of every map, or of each, e.g. 4,2,2,2.")
@click.option("--iou", type=float, help="Overlap from which a box fits an object.  [default: 0.5, or --recipe's]")
@click.option(
    "--rule", "rules", multiple=True, default=("all",), show_default=True, metavar="all|published|ssd|ranged|fitted",
    help="How default boxes are made; may be repeated.",
)  # fmt: skip
@click.option("--model", metavar="NAME|FILE", help="Also the default boxes inside this model.")
@click.option("--recipe", metavar="NAME|FILE", help="Also the default boxes that this recipe states.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="A page with plots and pictures.")
def command(
    data: tuple[str, ...],
    root: Path,
    classes: tuple[str, ...],
    size: str | None,
    resize: str | None,
    layout: str | None,
    strides: str | None,
    per_map: str,
    iou: float | None,
    rules: tuple[str, ...],
    model: str | None,
    recipe: str | None,
    as_json: bool,
    html: Path | None,
) -> None:
    """Propose default boxes for DATA, and say what share of its objects each choice of them can find at best.

    An object that no default box overlaps enough is seldom learnt: this recall is a ceiling, known before training.
    The rules: published (16-32 to 128-256 px at 300 x 300, height/width 1.7), ssd (the SSD paper's scales and
    ratios), ranged (2 to 4 times the stride, the data's height/width), fitted (k-means on IoU, refined on the grid).
    Fit on what trains, and judge what was fitted on other pictures with --recipe.
    """
    import json

    from passerby.cli.options import read_all
    from passerby.cli.progress import Progress
    from passerby.data.default_boxes import analyse

    question, given = _question(size, resize, layout, strides, per_map, iou, model, recipe)
    chosen = _rules(rules)
    progress = Progress()
    samples = read_all(data, classes, root, progress)
    analysis = analyse(samples, question, chosen, given)
    click.echo(json.dumps(analysis.to_dict(), indent=1) if as_json else to_text(analysis))
    if html:
        from passerby.pages.anchors import anchors_page
        from passerby.pages.html import save

        save(html, anchors_page(analysis, samples))
        progress.line(f"written to {html}")


def _rules(names: tuple[str, ...]) -> tuple[str, ...]:
    from passerby.data.box_rules import RULES
    from passerby.errors import SettingError, did_you_mean

    for name in names:
        if name not in RULES and name != "all":
            raise SettingError(f"--rule: no rule '{name}'{did_you_mean(name, [*RULES, 'all'])}")
    return tuple(r for r in RULES if r in names or "all" in names)


def _question(
    size: str | None,
    resize: str | None,
    layout: str | None,
    strides: str | None,
    per_map: str,
    iou: float | None,
    model: str | None,
    recipe: str | None,
) -> tuple[Question, dict[str, tuple[AnchorMap, ...]]]:
    """What is asked, and the default boxes of the model and the recipe; what is not said follows these."""
    from dataclasses import replace

    from passerby.cli.options import parse_counts, parse_input
    from passerby.data.box_rules import Question
    from passerby.errors import SettingError
    from passerby.geometry.anchors import STRIDES
    from passerby.geometry.layouts import stated_maps
    from passerby.geometry.resize import place
    from passerby.recipe import load_recipe
    from passerby.runtime.model_file import find_model, read_spec

    given: dict[str, tuple[AnchorMap, ...]] = {}
    own: dict[str, tuple[int, int, str]] = {}  # input and resize rule of each
    layouts: list[str] = []  # of each
    if model:
        spec = read_spec(find_model(model))
        given[f"model {spec.name}"] = spec.anchors
        own["--model"] = spec.height, spec.width, spec.resize
        layouts.append(str(spec.network.get("layout", "f38")))
    if recipe:
        stated = load_recipe(recipe)
        m = stated.model
        given[f"recipe {stated.name}"] = stated_maps(
            m.layout, m.shapes, m.sizes, m.ratio, *m.input_size(), m.resolution_multiplier
        )
        own["--recipe"] = *m.input_size(), m.resize
        layouts.append(m.layout)
        iou = stated.optimiser.match_iou if iou is None else iou
    first = next(iter(own.values()), (300, 300, "stretch"))
    width, height = parse_input(size) if size else (first[1], first[0])
    rule = resize or first[2]
    place(1, 1, width, height, rule)
    for option, facts in own.items():
        if facts != (height, width, rule):
            raise SettingError(
                f"{option} has default boxes for an input of {facts[1]} x {facts[0]}, {facts[2]}; they say nothing "
                f"about {width} x {height}, {rule}: leave --input and --resize out"
            )
    iou = 0.5 if iou is None else iou
    if not 0 < iou < 1:
        raise SettingError(f"--iou is {iou}, want a number between 0 and 1")
    if not layout and not strides and layouts and layouts[0] != "f38":  # which has the maps at STRIDES
        layout = layouts[0]
    if layout and strides:
        raise SettingError(f"--layout {layout} and --strides {strides}: both say which maps there are; give one")
    steps, counts = parse_counts(strides, "--strides") if strides else STRIDES, parse_counts(per_map, "--per-map")
    question = Question(height, width, rule, steps, match_iou=iou, layout=layout or "")
    maps = len(question.cells())  # refuses strides that cannot be before anything is read
    if len(counts) == 1:
        counts *= maps
    if len(counts) != maps or min(counts) < 1:
        raise SettingError(f"--per-map {per_map}: want one number from 1 on, or one for each of {maps} maps")
    question = replace(question, per_map=counts)
    return question, given


def to_text(analysis: Analysis) -> str:
    """The analysis for people: recall by size, the recommended maps, what they miss, and what to paste."""
    from passerby.data.box_rules import fragment, override
    from passerby.geometry.anchors import STRIDES

    q, best, answers = analysis.question, analysis.best(), analysis.answers
    wide = [max(10, len(a.rule)) + 2 for a in answers]

    def row(name: str, count: int | None, cells: list[str]) -> str:
        shown = "".join(f"{c:>{w}}" for c, w in zip(cells, wide, strict=True))
        return f"{name:<26}{'' if count is None else f'{count:,}':>9}{shown}"

    lines = [
        f"{analysis.source}: {analysis.pictures:,} pictures; input {q.width} x {q.height}, {q.resize}",
        "",
        row(f"best recall at IoU {q.match_iou:g}", None, [a.rule for a in answers]),
        row("all objects", analysis.objects, [f"{a.recall:.3f}" for a in answers]),
    ]
    for k, b in enumerate(best.by_size):
        lines.append(row(f"  size {b.name}", b.objects, [f"{a.by_size[k].recall:.3f}" for a in answers]))
    for k, c in enumerate(best.by_class if len(best.by_class) > 1 else ()):
        cells = [f"{a.by_class[k].recall:.3f}" if c.objects else "-" for a in answers]
        lines.append(row(f"  {c.name}", c.objects, cells))
    lines += [
        row("mean best IoU", None, [f"{a.mean_iou:.3f}" for a in answers]),
        row("default boxes", None, [f"{a.boxes:,}" for a in answers]),
        row("answer for an object", None, [f"{a.answers:.2f}" for a in answers]),
        row("objects with one or none", None, [f"{100 * a.forced:.0f} %" for a in answers]),
        "",
        f"{best.rule + ', map by map':<28}recall alone   fits best   shapes, px",
    ]
    for m in best.by_map:
        shapes = ", ".join(f"{w:.1f} x {h:.1f}" for w, h in m.shapes)
        lines.append(f"  {f'{m.columns} x {m.rows} cells':<26}{m.recall:>12.3f}{100 * m.share:>10.1f} %   {shapes}")
    if best.worst:
        lines += ["", "fits worst, one a picture"]
        for u in best.worst[:5]:
            box = ", ".join(f"{v:g}" for v in u.box)
            lines.append(
                f"  IoU {u.iou:.2f}  {u.width:g} x {u.height:g} px at the input  {u.picture}  {u.label} ({box})"
            )
    lines += ["", analysis.recommendation(), "", "in the recipe's Model(...):", fragment(q, best.maps)]
    if q.layout or q.strides == STRIDES:
        lines += ["", f"or: passerby train RECIPE {override(q, best.maps)}"]
    else:
        lines += ["", f"passerby's own networks have maps at strides {STRIDES}: these boxes are for another network"]
    return "\n".join(lines)
