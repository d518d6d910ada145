"""What every detector gives that is compared, whoever made it: a picture in, Detections out, and time by stage."""

from __future__ import annotations

from typing import Any, Protocol

from passerby.geometry.resize import Placement
from passerby.records import Detections
from passerby.runtime.detector import Picture

STAGES = ("prepare", "network", "settle")  # prepare: resize and lay out; settle: decode, suppress, boxes back


class Facts(Protocol):
    """What is known of a model before it runs."""

    @property
    def name(self) -> str:
        """As its file or its maker says."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names; empty where only its Detections tell."""
        ...

    @property
    def threshold(self) -> float:
        """Scores under this are not shown, where nobody says otherwise."""
        ...


class Predictor(Protocol):
    """A detector in three stages; `runtime.Detector` is one.

    `predictor(picture)` is `finish(run(input), placement)` of `input, placement = prepare(picture)`.
    """

    @property
    def spec(self) -> Facts:
        """What is known of the model."""
        ...

    @property
    def threshold(self) -> float | None:
        """The floor: scores under this are dropped; None where the predictor does not say."""
        ...

    @property
    def nms_iou(self) -> float | None:
        """IoU over which the lower score is dropped; None where the graph suppresses inside, or nobody says."""
        ...

    @property
    def max_detections(self) -> int | None:
        """A picture; None where the predictor does not say."""
        ...

    @property
    def engine_name(self) -> str:
        """The engine, its version, and its precision where that is known."""
        ...

    def __call__(self, picture: Picture) -> Detections:
        """All three stages."""
        ...

    def prepare(self, picture: Picture) -> tuple[Any, Placement]:
        """The picture as the network's input, and how it lies in it."""
        ...

    def run(self, pixels: Any) -> Any:
        """The network alone: what `prepare` gave -> its raw answer."""
        ...

    def finish(self, answer: Any, placement: Placement, threshold: float | None = None) -> Detections:
        """The raw answer -> Detections in the picture's own pixels, highest score first; scores from `threshold` on.

        threshold  None: the predictor's own. The answer is not changed: another threshold may follow
        """
        ...
