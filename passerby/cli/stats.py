"""passerby data stats: boxes by size, shape, number and place, at the network's input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from passerby.cli.options import data_options

if TYPE_CHECKING:
    from passerby.data.statistics import Statistics


@click.command("stats", short_help="Describe a data set at a network's input.")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@data_options
@click.option("--input", "size", default="300x300", show_default=True, metavar="WxH", help="The network's input.")
@click.option(
    "--resize", default="stretch", show_default=True, metavar="stretch|bounded|letterbox", help="Picture to input."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="A page with tables and plots.")
@click.option("--plots", type=click.Path(path_type=Path), metavar="DIR", help="Each plot as an SVG file.")
def command(
    data: tuple[str, ...],
    root: Path,
    classes: tuple[str, ...],
    size: str,
    resize: str,
    as_json: bool,
    html: Path | None,
    plots: Path | None,
) -> None:
    """Describe DATA: boxes by size, height/width, number a picture and place; in all, by class and by split.

    Sizes are what the network would see: the square root of a box's area after the picture was brought to --input.
    Several DATA are taken together.
    """
    import json

    from passerby.cli.options import parse_input, read_all
    from passerby.cli.progress import Progress
    from passerby.data.statistics import describe

    width, height = parse_input(size)
    progress = Progress()
    samples = read_all(data, classes, root, progress)
    stats = describe(samples, height, width, resize)
    click.echo(json.dumps(stats.to_dict(), indent=1) if as_json else to_text(stats))
    if html:
        from passerby.pages.html import save
        from passerby.pages.statistics import statistics_page

        save(html, statistics_page(stats, samples))
        progress.line(f"written to {html}")
    if plots:
        from passerby.pages.statistics import save_plots, statistics_plots

        save_plots(plots, statistics_plots(stats, samples))
        progress.line(f"written to {plots}/")


def to_text(stats: Statistics) -> str:
    """Statistics as tables for people: a column for all, for each class, for each split."""
    from passerby.data.statistics import CELLS, NMS_IOU, QUANTILES, UNDER

    parts = [stats.all]
    parts += stats.classes if len(stats.classes) > 1 else ()
    parts += stats.splits if len(stats.splits) > 1 else ()
    quantiles = ", ".join(f"{q}" for q in QUANTILES)
    rows: list[tuple[str, list[str]]] = [
        ("pictures", [f"{p.pictures:,}" for p in parts]),
        ("  without objects", [f"{p.negatives:,}" for p in parts]),
        ("objects", [f"{p.objects:,}" for p in parts]),
        ("  difficult, left out", [f"{p.difficult:,}" for p in parts]),
        ("  ignore regions", [f"{p.ignored:,}" for p in parts]),
        ("size, px", []),
        *((f"  {q} %", [f"{p.size[k]:.1f}" for p in parts]) for k, q in enumerate(QUANTILES)),
        *((f"  under {u}", [f"{100 * p.under[k]:.1f} %" for p in parts]) for k, u in enumerate(UNDER)),
        ("height / width", []),
        *((f"  {q} %", [f"{p.ratio[k]:.2f}" for p in parts]) for k, q in enumerate(QUANTILES)),
        ("objects a picture", []),
        *((f"  {q} %", [f"{p.a_picture[k]:g}" for p in parts]) for k, q in enumerate(QUANTILES)),
        ("  at most", [f"{p.most:,}" for p in parts]),
        ("touch the border", [f"{100 * p.at_border:.1f} %" for p in parts]),
        (f"merge at IoU {NMS_IOU:g}", [f"{100 * p.crowded:.1f} %" for p in parts]),
    ]
    wide = [max(len(p.name), *(len(cells[k]) for _, cells in rows if cells)) for k, p in enumerate(parts)]
    lines = [
        f"{stats.source}: input {stats.width} x {stats.height}, {stats.resize}; a size is the square root of the area",
        "",
        f"{'':<22}" + "".join(f"  {p.name:>{w}}" for p, w in zip(parts, wide, strict=True)),
    ]
    for name, cells in rows:
        shown = "".join(f"  {'-' if c.startswith('nan') else c:>{w}}" for c, w in zip(cells, wide, strict=False))
        lines.append(f"{name:<22}{shown}".rstrip())
    across, down = (", ".join(f"{v:g}" for v in q) for q in stats.picture_size)
    lines += ["", f"picture width, {quantiles} %: {across}", f"picture height, {quantiles} %: {down}"]
    lines += ["", f"centres, % of objects in each of {CELLS} x {CELLS} parts of the picture"]
    lines += ["".join(f"{100 * v:>6.1f}" for v in row) for row in stats.all.places]
    return "\n".join(lines)
