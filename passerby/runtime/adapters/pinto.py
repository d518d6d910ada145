"""PINTO0309's model zoo, files named "_post": one output (N, 7), suppressed inside.

A row is picture, class, score, x0, y0, x1, y1 in input pixels; rows that are not needed have score 0. Model 426 knows
body, head and hand.
"""

from __future__ import annotations

from collections.abc import Sequence

from passerby.records import Floats
from passerby.runtime.adapters.base import Adapter, Input, Shape
from passerby.runtime.adapters.ssd import spread
from passerby.runtime.graph import Graph

COLUMNS = 7


def find(graph: Graph, shapes: Sequence[Shape]) -> tuple[int, ...]:
    """The one output (N, 7) whose name lists its columns."""
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] != COLUMNS:
        return ()
    return (0,) if "batchno_classid_score" in graph.outputs[0].name else ()


def decode(outputs: Sequence[Floats], width: int, height: int) -> tuple[Floats, Floats]:
    """(N, 7) -> boxes (K, 4) input pixels, scores (K, C); rows without a score are left out."""
    rows = outputs[0][outputs[0][:, 2] > 0]
    return rows[:, 3:], spread(rows[:, 2], rows[:, 1])


def name_parts(_: Graph, classes: int) -> tuple[str, ...]:
    """The three of model 426; another number of classes is another model, and needs --labels."""
    return ("body", "head", "hand")


ADAPTER = Adapter(
    "PINTO model zoo, body, head, hand, suppressed inside",
    find,
    decode,
    Input("stretch", "bgr"),
    name_parts,
    0.35,
    None,
)
