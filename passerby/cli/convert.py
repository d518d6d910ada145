"""passerby data convert: any format to Pascal VOC, COCO or YOLO, whole or in part, split or in tiles."""

from __future__ import annotations

from pathlib import Path

import click

from passerby.cli.options import data_options, parse_input, read_all


@click.command("convert", short_help="Write a data set as VOC, COCO or YOLO.")
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The new folder.")
@click.option("--format", "kind", required=True, metavar="voc|coco|yolo", help="Of the new data set.")
@data_options
@click.option("--count", default=0, metavar="N", help="Only N pictures, chosen at random.")
@click.option("--share", default=0.0, metavar="P", help="Only this part of the pictures, 0 to 1, chosen at random.")
@click.option("--split", metavar="NAME=P,NAME=P", help="New splits by share, e.g. train=0.8,val=0.2.")
@click.option("--seed", default=0, show_default=True, help="Of what is chosen at random.")
@click.option("--tile", metavar="WxH", help="Cut pictures into tiles of this size.")
@click.option("--overlap", default=0.2, show_default=True, help="Least share of a tile that the next covers again.")
@click.option("--no-empty-tiles", is_flag=True, help="Leave out tiles without an object.")
@click.option("--link", is_flag=True, help="Hard links instead of copies of the pictures.")
def command(
    data: tuple[str, ...],
    target: Path,
    kind: str,
    root: Path,
    classes: tuple[str, ...],
    count: int,
    share: float,
    split: str | None,
    seed: int,
    tile: str | None,
    overlap: float,
    no_empty_tiles: bool,
    link: bool,
) -> None:
    """Write DATA as another data set in the new folder --to; several DATA become one.

    What is wrong is put right by the readers' rules (`passerby data check` lists them). --split keeps pictures that
    are nearly the same in one split, so that none that trains also judges. What the new format cannot hold is named.
    """
    from passerby.cli.progress import Progress
    from passerby.data.convert import (
        Tiling,
        alike_groups,
        need_part,
        parse_shares,
        split_samples,
        subsample,
        tiled_items,
        whole_items,
    )
    from passerby.data.look import look_at_all
    from passerby.data.write import need_target, write_set

    shares = parse_shares(split) if split else {}
    tiling = Tiling(*parse_input(tile), overlap, not no_empty_tiles) if tile else None
    if count or share:
        need_part(count, share)
    need_target(target, kind)
    progress = Progress()
    samples = read_all(data, classes, root, progress)
    if count or share:
        samples = subsample(samples, count, share, seed)
    try:
        if shares:
            looks = look_at_all((s.path for s in samples), lambda i, n: progress.step(f"{i}/{n} pictures compared"))
            together = alike_groups(samples.samples, looks)
            samples = split_samples(samples, shares, together, seed)
        items = tiled_items(samples, tiling) if tiling else whole_items(samples)
        written = write_set(items, samples.labels, target, kind, link, progress.step)
    finally:
        progress.clear()
    progress.line(f"{target}: {written.pictures:,} pictures, {written.objects:,} objects as {kind}")
    if shares:
        for name in shares:
            n = sum(s.split == name for s in samples)
            progress.line(
                f"  {name}: {n:,} of {len(samples):,} pictures ({n / len(samples):.1%}, asked {shares[name]:.1%})"
            )
        largest = max(map(len, together))
        if largest > 1:
            progress.line(f"  pictures nearly the same stay together; the largest group has {largest:,}")
    for what, n in written.lost.items():
        progress.line(f"not as it was: {n:,} {what}")
    for note_kind, n in samples.note_counts().items():
        if note_kind == "not-held":
            names = sorted({note.text for note in samples.notes if note.kind == note_kind})
            progress.line(f"not carried over: {', '.join(names)} ({n:,})")
