"""Small objects in large pictures: a detector that looks at overlapping tiles of a picture, and at the whole of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.errors import SettingError
from passerby.geometry.boxes import BoxRows, area, intersection, iou
from passerby.geometry.nms import greedy_rows, nms_per_class
from passerby.geometry.part import Part, tiles
from passerby.geometry.resize import Placement, fit
from passerby.records import Detections, Floats, Pixels
from passerby.runtime.detector import Detector, Picture, as_pixels, need_share
from passerby.spec import ModelSpec

OVERLAP = 0.25  # least share of a tile that the next one covers again
MOST = 64  # tiles of a picture
EDGE = 2.0  # input pixels: a box that ends nearer to a tile's inner edge is of an object that goes on beyond it
INSIDE = 0.7  # a box of which more than this share lies in one of another pass is of the same object
Grid = tuple[int, int]


@dataclass(frozen=True)
class View:
    """One pass: which part of a picture of width x height pixels, and how that part lies in the network's input."""

    part: Part
    placement: Placement
    width: int
    height: int

    def uncut(self, boxes: Floats) -> NDArray[np.bool_]:
        """Which boxes (N, 4), input pixels, do not end at an edge of the part beyond which the picture goes on."""
        x, y, w, h = self.part
        left, top, right, bottom = self.placement.forth(np.array([[0, 0, w, h]], np.float32))[0]
        return np.asarray(
            ((boxes[:, 0] >= left + EDGE) | (x == 0))
            & ((boxes[:, 1] >= top + EDGE) | (y == 0))
            & ((boxes[:, 2] <= right - EDGE) | (x + w == self.width))
            & ((boxes[:, 3] <= bottom - EDGE) | (y + h == self.height))
        )

    def back(self, boxes: Floats) -> Floats:
        """Boxes (N, 4) in input pixels -> pixels of the whole picture."""
        x, y = self.part[:2]
        return self.placement.back(boxes) + np.array([x, y, x, y], np.float32)


@dataclass(frozen=True)
class Answer:
    """What the graph said of each view: boxes (A, 4) input pixels, scores (A, C)."""

    views: list[View]
    raw: list[tuple[BoxRows, Floats]]


class Tiled:
    """A detector for objects too small for its input: every picture is looked at in tiles, and as a whole.

        from passerby import Detector
        from passerby.runtime.tiled import Tiled
        found = Tiled(Detector())("hall.jpg")

    detector  a Detector; floor, IoU of suppression and cap are its own
    grid      tiles (across, down); None: as many as it takes for the network to see every pixel, alike both ways
    overlap   least share of a tile that the next one covers again, 0 to under 1

    A box that ends at an inner edge of its tile is dropped: the object goes on, and is seen whole by the next tile or
    in the whole picture. Of what is left the lower scores are dropped over all passes, by IoU, and where most of a box
    lies inside one of another pass (intersection over the smaller area, as in Akyon et al. 2022, "Slicing aided hyper
    inference"). One run of the network a tile and one for the whole: time grows with the number of tiles.

    Raises SettingError for a grid or an overlap out of range.
    """

    def __init__(self, detector: Detector, grid: Grid | None = None, overlap: float = OVERLAP) -> None:
        if grid is not None and not (min(grid) >= 1 and grid[0] * grid[1] <= MOST):
            raise SettingError(f"tiles {grid[0]}x{grid[1]}: want at least 1x1, and at most {MOST} in all")
        if not 0 <= overlap < 1:
            raise SettingError(f"overlap of tiles is {overlap:g}, want a share from 0 to under 1")
        self.detector, self.grid, self.overlap = detector, grid, overlap

    @property
    def spec(self) -> ModelSpec:
        """The detector's."""
        return self.detector.spec

    @property
    def threshold(self) -> float:
        """Scores under this are dropped."""
        return self.detector.threshold

    @property
    def nms(self) -> str:
        """How boxes on each other are suppressed, whatever the detector's own way."""
        return "hard"

    @property
    def nms_iou(self) -> float:
        """IoU over which the lower score is dropped."""
        return self.detector.nms_iou

    @property
    def max_detections(self) -> int:
        """A picture, all tiles together."""
        return self.detector.max_detections

    @property
    def engine_name(self) -> str:
        """The detector's, and how the tiles lie."""
        how = "as many tiles as pixels ask for" if self.grid is None else f"{self.grid[0]}x{self.grid[1]} tiles"
        return f"{self.detector.engine_name}, {how} and the whole picture"

    def __call__(self, picture: Picture, threshold: float | None = None) -> Detections:
        """Detect in one picture; arguments, answer and errors as `Detector` has them."""
        pixels, placement = self.prepare(picture)
        return self.finish(self.run(pixels), placement, threshold)

    def lay(self, width: int, height: int) -> list[Part]:
        """The parts of a picture that are looked at, the whole first. One where a tile would cover it all."""
        grid = self.grid or self._grid_for(width, height)
        tile = [_side(length, n, self.overlap) for length, n in zip((width, height), grid, strict=True)]
        parts = tiles(width, height, tile[0], tile[1], self.overlap)
        whole = (0, 0, width, height)
        return [whole, *(p for p in parts if p != whole)]

    def _grid_for(self, width: int, height: int) -> Grid:
        """The fewest tiles of the picture's own shape that are not shrunk; what is in them looks as in the whole."""
        n = 1
        while (n + 1) ** 2 <= MOST and (
            _side(width, n, self.overlap) > self.spec.width or _side(height, n, self.overlap) > self.spec.height
        ):
            n += 1
        return n, n

    def prepare(self, picture: Picture) -> tuple[list[tuple[Pixels, View]], Placement]:
        """The graph's input (1, H, W, 3) uint8 RGB of each part with where it lies, and how the whole lies in it."""
        pixels = as_pixels(picture)
        height, width = pixels.shape[:2]
        out = []
        for part in self.lay(width, height):
            x, y, w, h = part
            view, placement = fit(pixels[y : y + h, x : x + w], self.spec.width, self.spec.height, self.spec.resize)
            out.append((view[None], View(part, placement, width, height)))
        return out, out[0][1].placement

    def run(self, pixels: list[tuple[Pixels, View]]) -> Answer:
        """The graph on each part."""
        return Answer([view for _, view in pixels], [self.detector.run(one) for one, _ in pixels])

    def finish(self, answer: Answer, placement: Placement, threshold: float | None = None) -> Detections:
        """What the graph said of all parts -> Detections in the picture's own pixels, highest score first."""
        floor = self.threshold if threshold is None else threshold
        need_share("threshold", floor)
        boxes, scores, labels, passes = [], [], [], []
        for k, (view, (all_boxes, all_scores)) in enumerate(zip(answer.views, answer.raw, strict=True)):
            rows, label = nms_per_class(all_boxes, all_scores, floor, self.nms_iou, self.max_detections)
            kept = view.uncut(all_boxes[rows])
            rows, label = rows[kept], label[kept]
            boxes.append(view.back(all_boxes[rows]))
            scores.append(all_scores[rows, label])
            labels.append(label)
            passes.append(np.full(len(rows), k))
        found = Detections(
            np.concatenate(boxes).astype(np.float32),
            np.concatenate(scores).astype(np.float32),
            np.concatenate(labels).astype(np.int64),
            self.spec.labels,
        )
        order = np.argsort(-found.scores, kind="stable")
        return found[order[merge(found[order], np.concatenate(passes)[order], self.nms_iou)][: self.max_detections]]


def merge(found: Detections, passes: NDArray[np.int64], threshold: float) -> NDArray[np.intp]:
    """Which detections stay when those of several passes over one picture become one answer.

    found      highest score first
    passes     (N,) which pass each comes from
    threshold  a box goes when its IoU with one of its class that stays is over this, or when it and one of another
               pass lie over INSIDE of the smaller one's area in each other
    """
    shared = intersection(found.boxes, found.boxes)
    sizes = area(found.boxes)
    share = shared / np.maximum(np.minimum(sizes[:, None], sizes[None, :]), 1e-9)
    same = (iou(found.boxes, found.boxes) > threshold) | ((share > INSIDE) & (passes[:, None] != passes[None, :]))
    same &= found.labels[:, None] == found.labels[None, :]
    return greedy_rows(same)


def parse_grid(text: str) -> Grid | None:
    """Tiles across and down of "3x2"; None of "auto". Raises SettingError for anything else."""
    if text == "auto":
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isascii() and p.isdigit() and int(p[:9]) > 0 for p in parts):
        raise SettingError(f"--tiles '{text}': want auto, or ACROSSxDOWN, e.g. 3x2")
    return int(parts[0]), int(parts[1])


def _side(length: int, count: int, overlap: float) -> int:
    """Pixels of each of `count` tiles that cover a length."""
    return -int(-length // (count - (count - 1) * overlap))
