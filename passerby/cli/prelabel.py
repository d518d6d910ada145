"""passerby prelabel: what a model finds, as a data set to be corrected or trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from passerby.cli.options import engine_options

if TYPE_CHECKING:
    from passerby.cli.progress import Progress
    from passerby.data.write import Item
    from passerby.runtime.detector import Detector
    from passerby.runtime.localiser import Localiser


@click.command("prelabel", short_help="Write what a model finds as a data set, for correction or training.")
@click.argument("model", metavar="MODEL")
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The new folder.")
@click.option("--format", "kind", required=True, metavar="coco|voc|yolo", help="Of the new data set.")
@click.option("--min-score", type=float, help="Write boxes from this score on; default: the model's own threshold.")
@click.option("--skip-empty", is_flag=True, help="Leave out pictures in which nothing is found.")
@click.option("--split", default="train", show_default=True, metavar="NAME", help="Of the new data set.")
@click.option("--link", is_flag=True, help="Hard links instead of copies of the pictures.")
@engine_options
def command(
    model: str,
    folder: Path,
    target: Path,
    kind: str,
    min_score: float | None,
    skip_empty: bool,
    split: str,
    link: bool,
    engine: str,
    threads: int,
) -> None:
    """Write what MODEL (a detector, or a localiser such as person-map) finds in the pictures of FOLDER.

    The new folder --to holds copies of the pictures, so that nothing outside it is needed; FOLDER stays as it is.
    Scores: COCO "score" and VOC <score> of each object; YOLO scores/SPLIT/NAME.txt, a line an object, since a sixth
    column makes trainers refuse the label file. prelabel.json says which model made them. Videos are passed over.

    A picture without a box says "nobody is here" to whoever trains on it: look through those, or --skip-empty.
    """
    import json

    from passerby.cli.progress import Progress
    from passerby.data.write import need_target, write_set
    from passerby.errors import SettingError, SourceError
    from passerby.media.sources import find_items
    from passerby.runtime.localiser import open_model

    need_target(target, kind)
    if not split or "/" in split or "\\" in split or split.startswith("."):
        raise SettingError(f"--split '{split}': want a plain name, e.g. train")
    items = find_items(folder)
    paths = [i.path for i in items if i.kind == "picture"]
    if not paths:
        raise SourceError(f"{folder}: no picture in it, only videos")
    progress = Progress()
    detector = open_model(model, min_score, engine, threads)
    tally = Tally(skip_empty)
    facts = {"model": detector.spec.name, "file": Path(model).name, "min_score": detector.threshold}
    facts |= {"engine": detector.engine_name, "provenance": detector.spec.provenance}

    def note(root: Path) -> None:
        (root / "prelabel.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    try:
        looked_at = tally.look(paths, detector, split, progress)
        written = write_set(looked_at, detector.spec.labels, target, kind, link, extra=note)
    finally:
        progress.clear()
    progress.line(f"{target}: {written.pictures:,} pictures, {written.objects:,} boxes as {kind}, {tally}")
    for what, n in written.lost.items():
        progress.line(f"not as it was: {n:,} {what}")
    if passed := len(items) - len(paths):
        progress.line(f"passed over: {passed:,} video{'' if passed == 1 else 's'}")
    if tally.failures:
        lines = "".join(f"\n  {e}" for e in tally.failures)
        raise SourceError(f"{len(tally.failures)} pictures could not be read and are left out:{lines}")


class Tally:
    """Pictures looked at one by one, and how many of them were empty or not readable."""

    def __init__(self, skip_empty: bool) -> None:
        self.skip_empty, self.empty = skip_empty, 0
        self.failures: list[Exception] = []

    def look(self, paths: list[Path], detector: Detector | Localiser, split: str, progress: Progress) -> Iterator[Item]:
        """Each picture with what was found in it. Raises SourceError where none at all can be read."""
        import numpy as np

        from passerby.data.write import Item
        from passerby.errors import SourceError
        from passerby.geometry.boxes import area
        from passerby.pictures import read_picture
        from passerby.records import Sample, Truth

        for i, path in enumerate(paths):
            try:
                pixels = read_picture(path)
            except SourceError as e:
                self.failures.append(e)
                continue
            found = detector(pixels)
            found = found[np.flatnonzero(area(found.boxes) > 0)]  # what lies past the border was cut to nothing
            progress.step(f"{i + 1}/{len(paths)} {path.name}: {len(found)} found")
            self.empty += not len(found)
            if len(found) or not self.skip_empty:
                truth = Truth.of(found.boxes, found.labels)
                sample = Sample(path, pixels.shape[1], pixels.shape[0], truth, split=split)
                yield Item(sample, path.name, scores=found.scores)
        if len(self.failures) == len(paths):
            raise SourceError(f"none of the {len(paths)} pictures can be read: {self.failures[0]}")

    def __str__(self) -> str:
        return f"{self.empty:,} in which nothing was found{' left out' if self.skip_empty else ''}"
