"""What a model is: the facts that travel inside every checkpoint and every exported file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from passerby.errors import ModelError

FORMAT = 1  # of the JSON; a reader refuses a newer one by name
METADATA_KEY = "passerby"
TASKS = ("detect", "localise")
PRECISIONS = ("float32", "int8", "float16", "bfloat16")
RESIZE = ("stretch", "bounded", "letterbox")
OUTPUTS = ("decoded", "raw", "nms")
SUPPRESSION = ("hard", "soft")


@dataclass(frozen=True)
class AnchorMap:
    """One feature map: cells down and across, and the (width, height) in input pixels of each cell's boxes."""

    rows: int
    columns: int
    sizes: tuple[tuple[float, float], ...]

    def __len__(self) -> int:
        return self.rows * self.columns * len(self.sizes)


@dataclass(frozen=True)
class Layer:
    """One layer's cost: its output (channels, rows, columns), parameters, multiply-adds, bytes of output at float32."""

    name: str
    kind: str
    shape: tuple[int, int, int]
    parameters: int
    macs: int
    memory: int


@dataclass(frozen=True)
class ModelSpec:
    """Input, default boxes, labels, thresholds and provenance of one model: a detector, or a classifier with maps.

    name            as published, e.g. "head"
    height, width   of the input, pixels
    resize          of RESIZE: how a picture gets into the input (`geometry.resize`)
    labels          class names, in the order of the score columns
    anchors         one AnchorMap a feature map, finest first; none where the task is "localise"
    variance        of the offsets (centre, size)
    scoring         "sigmoid" (one logit a class) or "softmax" (one logit a class, background first)
    threshold       scores under this are not shown
    nms             how boxes on each other are suppressed: "hard" drops the lower score, "soft" lowers it
                    (`geometry.nms`); where outputs is "nms", "hard", since no graph knows another
    nms_iou         IoU over which the lower score of a class is suppressed
    max_detections  a picture
    network         how to build the network again: backbone, width, depth, ...
    layers          what each layer costs, counted when the model was exported
    provenance      where it comes from: data, licences, command, hours, machine, scores, how the threshold was chosen
    task            "detect": the graph gives boxes and scores; "localise": scores of the whole picture, and maps
    map_threshold   a localiser's regions are where its map reaches this share of its range over the picture
    precision       in which most of its layers are stored and run: one of PRECISIONS; `deploy.quantise` changes it
    outputs         what its graph ends in: "decoded" boxes and scores, "raw" logits and offsets of each feature map, or
                    "nms": what is left after suppression inside; `runtime.outputs` reads all three
    """

    name: str
    height: int
    width: int
    resize: str
    labels: tuple[str, ...]
    anchors: tuple[AnchorMap, ...]
    variance: tuple[float, float] = (0.1, 0.2)
    scoring: str = "sigmoid"
    threshold: float = 0.5
    nms: str = "hard"
    nms_iou: float = 0.45
    max_detections: int = 200
    network: dict[str, Any] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    task: str = "detect"
    map_threshold: float = 0.5
    precision: str = "float32"
    outputs: str = "decoded"

    def to_json(self) -> str:
        """One line of JSON; `from_json` is the inverse."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str = "model") -> ModelSpec:
        """Read what `to_json` wrote.

        where  the file, for errors
        Raises ModelError naming the file and the field when something is missing, unknown or out of range.
        """
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as e:
            raise ModelError(f"{where}: its passerby metadata is not JSON ({e}); export the model again") from e
        if not isinstance(raw, dict):
            raise ModelError(f"{where}: its passerby metadata is no JSON object; export the model again")
        version = raw.pop("format", None)
        if version != FORMAT:
            raise ModelError(f"{where}: metadata format {version}, this passerby reads {FORMAT}; update passerby")
        known = {f.name for f in fields(cls)}
        if unknown := set(raw) - known:
            raise ModelError(f"{where}: unknown field '{sorted(unknown)[0]}' in its metadata; update passerby")
        try:
            if not isinstance(raw["labels"], list):
                raise TypeError("labels is no list")
            raw["labels"] = tuple(str(n) for n in raw["labels"])
            raw["variance"] = (float(raw["variance"][0]), float(raw["variance"][1]))
            raw["anchors"] = tuple(
                AnchorMap(int(a["rows"]), int(a["columns"]), tuple((float(w), float(h)) for w, h in a["sizes"]))
                for a in raw["anchors"]
            )
            raw["layers"] = tuple(Layer(**{**row, "shape": tuple(row["shape"])}) for row in raw.get("layers", ()))
            spec = cls(**raw)
            spec.check(where)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as e:
            raise ModelError(f"{where}: its passerby metadata is incomplete ({e}); export the model again") from e
        return spec

    def check(self, where: str = "model") -> None:
        """Raises ModelError naming the first field that is out of range."""
        rules = {
            "height": self.height > 0,
            "width": self.width > 0,
            "resize": self.resize in RESIZE,
            "labels": len(self.labels) > 0,
            "task": self.task in TASKS,
            "anchors": (len(self.anchors) > 0) == (self.task == "detect")
            and all(m.rows > 0 and m.columns > 0 and len(m.sizes) > 0 for m in self.anchors)
            and all(w > 0 and h > 0 for m in self.anchors for w, h in m.sizes),
            "variance": all(v > 0 for v in self.variance),
            "scoring": self.scoring in (("sigmoid", "softmax") if self.task == "detect" else ("softmax",)),
            "threshold": _within(self.threshold),
            "nms": self.nms in (SUPPRESSION if self.outputs != "nms" else ("hard",)),
            "nms_iou": _within(self.nms_iou),
            "max_detections": self.max_detections > 0,
            "map_threshold": _within(self.map_threshold),
            "precision": self.precision in PRECISIONS,
            "outputs": self.outputs in (OUTPUTS if self.task == "detect" else ("decoded",)),
        }
        for name, good in rules.items():
            if not good:
                raise ModelError(f"{where}: field '{name}' of its metadata is {getattr(self, name)!r}, out of range")

    def with_(self, **changes: Any) -> ModelSpec:
        """A copy with some fields changed."""
        return replace(self, **changes)


def _within(value: float) -> bool:
    return math.isfinite(value) and 0 <= value <= 1
