"""passerby detect: boxes, or maps of where, on pictures and videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from passerby.cli.options import engine_options, threshold_option, tiled, tiles_option
from passerby.errors import SettingError, SourceError

if TYPE_CHECKING:
    from passerby.media.sinks import JsonLines, Sink
    from passerby.records import Detections, Frame
    from passerby.runtime.detector import Detector
    from passerby.runtime.localiser import Localiser
    from passerby.runtime.tiled import Tiled


@click.command("detect", short_help="Find people in pictures, folders and video files.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--model", default="head", show_default=True, metavar="NAME|FILE", help="A shipped model or an .onnx file."
)
@threshold_option
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where pictures and videos with boxes go.  [default: found, or none with --json]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a picture or frame on stdout.")
@click.option("--map", "with_map", is_flag=True, help="With --json and a localiser: the map too, as rows of shares.")
@tiles_option
@engine_options
def command(
    sources: tuple[str, ...],
    model: str,
    threshold: float | None,
    target: Path | None,
    as_json: bool,
    with_map: bool,
    tiles: str | None,
    engine: str,
    threads: int,
) -> None:
    """Find people in SOURCE: a picture, a folder, a pattern ("in/*.jpg") or a video file; several may follow.

    Pictures are written with boxes, videos as MP4 at their own frame rate. A file that cannot be read does not stop
    the others; it is listed at the end, and the exit code is 3.

    With --json each line is
    {"source": ..., "frame": 0, "width": W, "height": H, "detections": [{"box": [x0, y0, x1, y1], "score": s,
    "label": ...}]}, boxes in pixels of the original picture.

    A model that localises (person-map) draws its map as heat, with regions as boxes; with --json a line has also
    "label" and "score" of the whole picture, and with --map "map": rows from the top, 0 to 1.
    """
    from contextlib import ExitStack

    from passerby.cli.progress import Progress
    from passerby.media.sinks import JsonLines, PictureFolder, VideoFile
    from passerby.media.sources import SOURCES, Item, find_items, frame_rate
    from passerby.runtime.localiser import Localiser, open_model

    failures: list[SourceError] = []
    items: list[Item] = []
    folder = target or (None if as_json else Path("found"))
    for source in sources:
        try:
            items += find_items(source, folder)
        except SourceError as e:
            failures.append(e)
    if not items:
        raise _all(failures)
    detector = tiled(open_model(model, threshold, engine, threads), tiles)
    if with_map and not (as_json and isinstance(detector, Localiser)):
        raise SettingError("--map is for --json and a model that localises, e.g. person-map")
    progress = Progress()
    pictures = found_in_all = 0
    with ExitStack() as stack:
        lines = stack.enter_context(JsonLines()) if as_json else None
        shelf = stack.enter_context(PictureFolder(folder, sources=[i.path for i in items])) if folder else None
        for item in items:
            try:
                with ExitStack() as one:
                    mine: list[Sink] = []
                    if shelf and item.kind == "video":
                        rate = frame_rate(item.path)
                        copy = shelf.free(item.path.stem, ".mp4", item.path)
                        mine.append(one.enter_context(VideoFile(copy, rate)))
                    elif shelf:
                        mine.append(shelf)
                    for frame in SOURCES[item.kind](item.path):
                        found = _write(detector, frame, lines, mine, with_map)
                        pictures += 1
                        found_in_all += len(found)
                        where = f" frame {frame.index + 1}" if item.kind == "video" else ""
                        progress.step(f"{item.name}{where}: {len(found)} found")
            except SourceError as e:
                failures.append(e)
    progress.clear()
    unit = "frame" if items and all(i.kind == "video" for i in items) else "picture"
    things = (
        f"{found_in_all} found ({', '.join(detector.spec.labels)}) in {pictures} {unit}{'' if pictures == 1 else 's'}"
    )
    where = f"; written to {folder}/" if folder and pictures else ""
    if pictures or not failures:
        click.echo(f"{things}, scores from {detector.threshold:g}, {detector.engine_name}{where}", err=True)
    if failures:
        raise _all(failures)


def _write(
    detector: Detector | Localiser | Tiled, frame: Frame, lines: JsonLines | None, sinks: Sequence[Sink], with_map: bool
) -> Detections:
    """Look at one frame and write what was found: a line, and pictures."""
    from passerby.media.draw import draw_heat
    from passerby.runtime.localiser import Localiser

    more: dict[str, Any] = {}
    if isinstance(detector, Localiser):
        there = detector.locate(frame)
        found, told = there.regions, f"{there.label} {there.score:.2f}"
        more = {"label": there.label, "score": round(there.score, 4)}
        if with_map:
            more["map"] = [[round(v, 3) for v in row] for row in there.grid.tolist()]
        if sinks:  # as hot as the score says: a picture without anybody stays clear
            frame = replace(frame, pixels=draw_heat(frame.pixels, there.map * there.score, told))
    else:
        found = detector(frame)
    if lines:
        lines.write(frame, found, **more)
    for sink in sinks:
        sink.write(frame, found)
    return found


def _all(failures: list[SourceError]) -> SourceError:
    """One error for all sources that could not be read: one line each."""
    if len(failures) == 1:
        return SourceError(str(failures[0]))
    lines = "".join(f"\n  {e}" for e in failures)
    return SourceError(f"{len(failures)} sources could not be read:{lines}")
