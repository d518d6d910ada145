"""passerby explain: what a model looked at, as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from passerby.cli.options import engine_options, threshold_option

if TYPE_CHECKING:
    from passerby.records import Detections, Floats, Frame, Pixels
    from passerby.runtime.detector import Detector
    from passerby.runtime.localiser import Localiser

Panels = list[tuple[str, "Pixels"]]


@click.command("explain", short_help="Show what a model looked at, as pictures.")
@click.argument("model", metavar="MODEL")
@click.argument("source", metavar="SOURCE")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where they go.")
@threshold_option
@engine_options
def command(model: str, source: str, target: Path, threshold: float | None, engine: str, threads: int) -> None:
    """Write, for each picture or frame of SOURCE, one PNG: what MODEL found, and beside it what it looked at.

    A detector: the best class score in each cell of each feature map, finest first; these are in the graph, and need
    no torch. A localiser: its map, as shares of the map's range. A detector's checkpoint (.safetensors, extra
    [train]): also where the gradient of its best detection comes from.
    """
    import cv2

    from passerby.cli.eval import open_detector
    from passerby.cli.progress import Progress
    from passerby.errors import SourceError
    from passerby.files import written_whole
    from passerby.media.panels import side_by_side
    from passerby.media.sinks import PictureFolder
    from passerby.media.sources import find_items, open_source
    from passerby.runtime.localiser import Localiser

    paths = [i.path for i in find_items(source, target)]
    detector = open_detector(model, threshold, engine, threads, None)
    progress = Progress()
    failures: list[SourceError] = []
    written = 0
    with PictureFolder(target, sources=paths) as shelf:
        for frame in open_source(source, failures.append, target):
            if isinstance(detector, Localiser):
                panels, legend = _of_localiser(detector, frame), "share"
            else:
                panels, legend = _of_detector(detector, frame, model), "score"
            number = "" if frame.time is None else f"-{frame.index:06d}"
            path = shelf.free(f"{Path(frame.source).stem}{number}", ".png", Path(frame.source))
            with written_whole(path) as temporary:
                picture = side_by_side(panels, legend)
                temporary.write_bytes(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())
            written += 1
            progress.step(f"{path.name}: {panels[0][0]}")
    progress.clear()
    if written or not failures:
        progress.line(f"{written} picture{'' if written == 1 else 's'} written to {target}/, {detector.engine_name}")
    if failures:
        raise SourceError("\n  ".join(map(str, [f"{len(failures)} could not be read:", *failures])))


def _of_localiser(localiser: Localiser, frame: Frame) -> Panels:
    """What was found, and the map as shares of its range, whatever the score."""
    from passerby.media.draw import draw, draw_heat

    there = localiser.locate(frame)
    told = f"{there.label} {there.score:.2f}, {len(there.regions)} regions"
    regions = draw(frame.pixels, there.regions)
    return [(told, regions), (f"map of {there.label}", draw_heat(frame.pixels, there.map))]


def _of_detector(detector: Detector, frame: Frame, model: str) -> Panels:
    """What was found, the scores of each feature map, and the gradient's map where there is a checkpoint."""
    from passerby.media.draw import draw, draw_heat
    from passerby.runtime.heat import maps_by_stride

    boxes, scores, placement = detector.raw(frame)
    found = detector.settle(boxes, scores, placement)
    panels = [(f"{len(found)} found from {detector.threshold:g}", draw(frame.pixels, found))]
    for m in maps_by_stride(scores, detector.spec, placement):
        title = f"{m.rows} x {m.columns} cells of {m.stride:.0f} px, best {float(m.heat.max()):.2f}"
        panels.append((title, draw_heat(frame.pixels, m.heat)))
    if model.endswith(".safetensors") and len(found):
        heat = _gradient(Path(model), frame, found)
        panels.append((f"gradient of the best, {float(found.scores[0]):.2f}", draw_heat(frame.pixels, heat)))
    return panels


def _gradient(checkpoint: Path, frame: Frame, found: Detections) -> Floats:
    """Where the best detection's score comes from; (h, w), 0..1."""
    from passerby.cli.torch_wall import learn

    with learn():
        from passerby.learn.explain import gradient_map

    heat: Floats = gradient_map(checkpoint, frame.pixels, int(found.labels[0]), found.boxes[0])
    return heat
