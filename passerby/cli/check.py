"""passerby data check: what is wrong with a data set, by file, object and line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from passerby.cli.options import data_options, parse_input

if TYPE_CHECKING:
    from passerby.cli.progress import Progress
    from passerby.data.check import Checked
    from passerby.records import Note


@click.command("check", short_help="Say what is wrong with a data set.")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@data_options
@click.option("--input", "size", default="300x300", show_default=True, metavar="WxH", help="The network's input.")
@click.option(
    "--resize", default="stretch", show_default=True, metavar="stretch|bounded|letterbox", help="Picture to input."
)
@click.option("--tiny", default=4.0, show_default=True, help="Shorter side in the input under which a box is tiny, px.")
@click.option("--show", default=5, show_default=True, help="Lines a kind; -1: all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="A page with pictures of the worst cases."
)
@click.option("--fix", "target", type=click.Path(path_type=Path), metavar="DIR", help="Write a corrected copy.")
@click.option("--format", "kind", metavar="voc|coco|yolo", help="Of the copy.  [default: DATA's own, else coco]")
@click.option("--strict", is_flag=True, help="Warnings too make the exit code 10.")
@click.pass_context
def command(
    context: click.Context,
    data: tuple[str, ...],
    root: Path,
    classes: tuple[str, ...],
    size: str,
    resize: str,
    tiny: float,
    show: int,
    as_json: bool,
    html: Path | None,
    target: Path | None,
    kind: str | None,
    strict: bool,
) -> None:
    """Say everything that is wrong with DATA, by file, object and line, and count it by kind.

    Name the splits that train and those that judge together, so that pictures in both are found:
    passerby data check voc:scut_head#train_B voc:scut_head#val_B

    --fix DIR writes a corrected copy and changes.csv, the list of what was changed; DATA itself is never touched.
    The exit code is 10 when there are errors (with --strict: or warnings).
    """
    from passerby.cli.progress import Progress
    from passerby.data.check import Limits, check
    from passerby.data.kinds import severity
    from passerby.data.look import finds_damage
    from passerby.data.write import need_target

    width, height = parse_input(size)
    if target:
        need_target(target, kind or "coco")
    progress = Progress()
    try:
        found = check(data, root, classes, Limits(height, width, resize, tiny), progress.step)
    finally:
        progress.clear()
    for part in found.parts:
        if part.source.reason:
            progress.line(f"{part.source.path}: read as {part.source.format}: {part.source.reason}")
    if not finds_damage():
        progress.line("JPEGs damaged in the middle are not looked for: pip install 'passerby[data]'")
    click.echo(_json(found) if as_json else _text(found, show))
    if html:
        from passerby.pages.check import check_page
        from passerby.pages.html import save

        save(html, check_page(found))
        progress.line(f"written to {html}")
    if target:
        _write(found, target, kind, progress)
    bad = found.errors() or (strict and any(severity(k) == "warning" for k in found.counts()))
    if bad:
        context.exit(10)


def _json(found: Checked) -> str:
    import json
    from dataclasses import asdict

    from passerby.data.kinds import severity

    sources = [
        {
            "source": p.samples.source,
            "format": p.source.format,
            "reason": p.source.reason,
            "pictures": len(p.samples),
            "objects": p.samples.objects(),
            "labels": p.samples.labels,
        }
        for p in found.parts
    ]
    rows = [
        {
            "kind": n.kind,
            "severity": severity(n.kind),
            "file": n.file,
            "line": n.line or None,
            "object": n.item if n.item >= 0 else None,
            "text": n.text,
            "count": n.count,
            "picture": str(n.picture) if n.picture else None,
        }
        for n in found.notes
    ]
    whole = {"sources": sources, "settings": asdict(found.limits), "counts": found.counts(), "found": rows}
    return json.dumps(whole, indent=1)


def _text(found: Checked, show: int) -> str:
    from passerby.data.kinds import KINDS

    lines = []
    for part in found.parts:
        s = part.samples
        lines.append(
            f"{s.source}: {len(s):,} pictures, {s.objects():,} objects ({', '.join(s.labels) or 'no classes'})"
        )
    counts = found.counts()
    if not counts:
        return "\n".join([*lines, "nothing is wrong"])
    wide = max(map(len, counts))
    lines.append("")
    for kind, n in counts.items():
        k = KINDS[kind]
        lines.append(f"{k.severity:<8}{n:>8,}  {kind:<{wide}}  {k.meaning}" + (f"; {k.done}" if k.done else ""))
    for kind in counts:
        mine = [note for note in found.notes if note.kind == kind]
        shown = mine if show < 0 else mine[:show]
        if shown:
            lines += ["", f"{KINDS[kind].severity}: {kind}"] + ["  " + _line(note) for note in shown]
        if shown and len(shown) < len(mine):
            lines.append(f"  and {len(mine) - len(shown):,} more; --show -1 prints all")
    limits = found.limits
    lines += [
        "",
        f"{found.errors():,} errors; boxes judged in an input of {limits.width} x {limits.height}, {limits.rule}",
    ]
    return "\n".join(lines)


def _line(note: Note) -> str:
    where = note.file + (f":{note.line}" if note.line else "") + (f" object {note.item}" if note.item >= 0 else "")
    return f"{where}: {note.text}" + (f" ({note.count:,})" if note.count > 1 else "")


def _write(found: Checked, target: Path, kind: str | None, progress: Progress) -> None:
    from passerby.data.fix import LIST, fix
    from passerby.data.write import WRITERS, write_set

    own = {part.source.format for part in found.parts}
    chosen = kind or (own.pop() if len(own) == 1 and own <= set(WRITERS) else "coco")
    fixed = fix(found)
    try:
        written = write_set(
            fixed.items(), fixed.samples.labels, target, chosen, step=progress.step, extra=fixed.write_list
        )
    finally:
        progress.clear()
    done = ", ".join(f"{n} {k}" for k, n in fixed.counts().items()) or "nothing"
    progress.line(
        f"{target}: {written.pictures:,} pictures, {written.objects:,} objects as {chosen}; put right: {done}"
    )
    progress.line(f"the list of changes is {target / LIST}")
    for text, n in written.lost.items():
        progress.line(f"{n:,} {text}")
