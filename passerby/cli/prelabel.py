"""passerby prelabel: what a model finds, as a data set to be corrected or trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from passerby.cli.options import engine_options

if TYPE_CHECKING:
    from passerby.cli.progress import Progress
    from passerby.data.write import Item
    from passerby.records import Detections, Floats, Pixels, Truth
    from passerby.runtime.detector import Detector
    from passerby.runtime.localiser import Localiser
    from passerby.runtime.predictor import Facts, Predictor


@click.command("prelabel", short_help="Write what a model finds as a data set, for correction or training.")
@click.argument("model", metavar="MODEL")
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The new folder.")
@click.option("--format", "kind", required=True, metavar="coco|voc|yolo", help="Of the new data set.")
@click.option("--min-score", type=float, help="Write boxes from this score on; default: the model's own threshold.")
@click.option("--confirm", metavar="NAME|FILE|MODULE:FUNCTION", help="Write only what this detector is sure of, too.")
@click.option("--sure", type=float, metavar="FLOAT", help="Score from which --confirm is; default: its threshold.")
@click.option("--labels", metavar="A,B,C", help="Class names of --confirm's file, where it states none.")
@click.option("--owners", metavar="DATA", help="Boxes of whom things belong to: one without a thing is not judged.")
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
    confirm: str | None,
    sure: float | None,
    labels: str | None,
    owners: str | None,
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

    With --confirm, MODEL places and another detector, which learnt from other pictures, decides: what both find is
    written with MODEL's box (from score 0.05 on), what the other finds and MODEL does not place, or is unsure of (0.1),
    becomes a region that is not judged, and so does what MODEL alone finds and is too small for the other. What else
    MODEL alone finds is a false alarm, and nothing is written there: whoever trains on the set unlearns it. --owners
    names boxes that must hold one thing each, as people do a head: one in which nothing is written is not judged.
    """
    import json

    from passerby.cli.progress import Progress
    from passerby.data.agree import FLOOR
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
    for option, value in (("--sure", sure), ("--labels", labels)):
        if value is not None and not confirm:
            raise SettingError(f"{option} is of --confirm: name the detector that is to confirm, or leave it out")
    detector = open_model(model, FLOOR if confirm and min_score is None else min_score, engine, threads)
    judge = Judge.of(confirm, sure, labels, threads, detector.spec) if confirm else None
    tally = Tally(skip_empty, judge, owners_of(owners, paths) if owners else None)
    facts = {"model": detector.spec.name, "file": Path(model).name, "min_score": detector.threshold}
    facts |= {"engine": detector.engine_name, "provenance": detector.spec.provenance}
    if judge:
        facts |= {"confirmed_by": judge.name, "sure": judge.sure, "confirmed_with": judge.other.engine_name}
    if owners:
        facts["owners"] = owners

    def note(root: Path) -> None:
        (root / "prelabel.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    try:
        looked_at = tally.look(paths, detector, split, progress)
        written = write_set(looked_at, detector.spec.labels, target, kind, link, extra=note)
    finally:
        progress.clear()
    boxes = written.objects - tally.regions
    progress.line(f"{target}: {written.pictures:,} pictures, {boxes:,} boxes as {kind}, {tally}")
    for what, n in written.lost.items():
        progress.line(f"not as it was: {n:,} {what}")
    if passed := len(items) - len(paths):
        progress.line(f"passed over: {passed:,} video{'' if passed == 1 else 's'}")
    if tally.failures:
        lines = "".join(f"\n  {e}" for e in tally.failures)
        raise SourceError(f"{len(tally.failures)} pictures could not be read and are left out:{lines}")


@dataclass(frozen=True)
class Judge:
    """A second detector, that decides: see `data.agree`.

    sure   its score from which it does; shown: the first one's from which it shows what it finds
    """

    other: Predictor
    name: str
    sure: float
    shown: float

    @classmethod
    def of(cls, word: str, sure: float | None, labels: str | None, threads: int, first: Facts) -> Judge:
        """That of --confirm and its options, beside a `first` detector.

        Raises SettingError for a score out of range and where the two have no label in common, and as `open_word` does.
        """
        from passerby.data.agree import UNSURE
        from passerby.errors import SettingError
        from passerby.runtime.open import open_word, parse_word

        parsed = parse_word(word)
        names = [n.strip() for n in (labels or "").split(",") if n.strip()]
        other = open_word(parsed, UNSURE, "auto", threads, labels=names)
        sure = other.spec.threshold if sure is None else sure
        if not UNSURE <= sure <= 1:
            raise SettingError(f"--sure {sure:g}: want a score from {UNSURE:g}, from where it may be something, to 1")
        if other.spec.labels and not set(other.spec.labels) & set(first.labels):  # a function may not tell its labels
            raise SettingError(
                f"--confirm {word}: finds {list(other.spec.labels)}, the model {list(first.labels)}: no label in common"
            )
        return cls(other, Path(parsed.what).name, sure, first.threshold)

    def settle(self, pixels: Pixels, found: Detections) -> tuple[Detections, Floats]:
        """What of the found is written, and the regions (K, 4) that are not judged."""
        from passerby.data.agree import SMALL, UNSURE, agree

        array, placement = self.other.prepare(pixels)
        opinion = self.other.finish(self.other.run(array), placement, UNSURE)
        return agree(found, opinion, self.shown, self.sure, SMALL / placement.scale_y)


def owners_of(data: str, paths: list[Path]) -> dict[Path, Floats]:
    """Boxes of owners by the picture's resolved path. Raises DataError where no picture of `paths` has any."""
    from passerby.data import load_data
    from passerby.errors import DataError

    samples = load_data(data)
    boxes = {s.path.resolve(): s.truth.boxes[~s.truth.ignore] for s in samples}
    if not any(len(boxes.get(p.resolve(), ())) for p in paths):
        raise DataError(f"--owners {data}: has no box in any of these pictures; name the set that they are of")
    return boxes


class Tally:
    """Pictures looked at one by one, and how many of them were empty or not readable."""

    def __init__(self, skip_empty: bool, judge: Judge | None = None, owners: dict[Path, Floats] | None = None) -> None:
        self.skip_empty, self.judge, self.owners = skip_empty, judge, owners
        self.empty = self.regions = 0
        self.failures: list[Exception] = []

    def look(self, paths: list[Path], detector: Detector | Localiser, split: str, progress: Progress) -> Iterator[Item]:
        """Each picture with what was found in it. Raises SourceError where none at all can be read."""
        import numpy as np

        from passerby.data.write import Item
        from passerby.errors import SourceError
        from passerby.geometry.boxes import area
        from passerby.pictures import read_picture
        from passerby.records import Sample

        for i, path in enumerate(paths):
            try:
                pixels = read_picture(path)
            except SourceError as e:
                self.failures.append(e)
                continue
            found = detector(pixels)
            found = found[np.flatnonzero(area(found.boxes) > 0)]  # what lies past the border was cut to nothing
            found, truth = self._settle(path, pixels, found)
            progress.step(f"{i + 1}/{len(paths)} {path.name}: {len(found)} found")
            self.empty += not len(found)
            if len(found) or not self.skip_empty:
                self.regions += len(truth) - len(found)
                sample = Sample(path, pixels.shape[1], pixels.shape[0], truth, split=split)
                scores = np.append(found.scores, np.zeros(len(truth) - len(found), np.float32))
                yield Item(sample, path.name, scores=scores)
        if len(self.failures) == len(paths):
            raise SourceError(f"none of the {len(paths)} pictures can be read: {self.failures[0]}")

    def _settle(self, path: Path, pixels: Pixels, found: Detections) -> tuple[Detections, Truth]:
        """What is written as found, and all of it as truth, regions that are not judged last."""
        import numpy as np

        from passerby.data.agree import without
        from passerby.records import Truth

        parts = []
        if self.judge:
            found, unclear = self.judge.settle(pixels, found)
            parts.append(unclear)
        if self.owners is not None:
            owners = self.owners.get(path.resolve(), np.zeros((0, 4), np.float32))
            parts.append(without(owners, found.boxes))
        regions = np.concatenate([np.zeros((0, 4), np.float32), *parts])
        rows = np.arange(len(found) + len(regions)) >= len(found)
        labels = np.append(found.labels, np.zeros(len(regions), np.int64))
        return found, Truth.of(np.concatenate([found.boxes, regions]), labels, ignore=rows)

    def __str__(self) -> str:
        judged = f"{self.regions:,} regions that are not judged, " if self.judge or self.owners is not None else ""
        return f"{judged}{self.empty:,} in which nothing was found{' left out' if self.skip_empty else ''}"
