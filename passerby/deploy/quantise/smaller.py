"""Which layers' weights to store in four bits: the least damage for the bytes that a file has to lose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from passerby.deploy.quantise.calibrate import Range
from passerby.deploy.quantise.graph import Graph, Layer
from passerby.deploy.quantise.sensitivity import Damage, measure
from passerby.records import Pixels

BESIDE = 1_200  # bytes that a table, three nodes and their names take
CARD = 4_000  # bytes that the card of the search and the certificate add to a file


def saved(layer: Layer) -> int:
    """Bytes that a layer gives when two of its weights share one."""
    return layer.parameters // 2 - BESIDE


def rank(
    graph: Graph,
    ranges: Mapping[str, Range],
    kept: Collection[str],
    inputs: Sequence[Pixels],
    threads: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Damage]:
    """The layers that can be stored so, each with what it does alone, the least damage a byte saved first.

    kept  names of the layers that stay float
    """
    able = [x for x in graph.layers if x.name not in kept and x.parameters % 2 == 0 and saved(x) > 0]
    found = measure(graph, ranges, inputs, threads, progress, able, four_bits=True)
    return sorted(found, key=lambda d: d.total / saved(d.layer))


def fewest(ranked: Sequence[Damage], bytes_over: int) -> list[Layer]:
    """The first of a ranking that save so many bytes, without those that the others can do without; all where too few.

    What can be done without is looked for from the most damaging on.
    """
    taken: list[Damage] = []
    for row in ranked:
        if sum(saved(d.layer) for d in taken) >= bytes_over:
            break
        taken.append(row)
    for row in sorted(taken, key=lambda d: -d.total):
        rest = [d for d in taken if d is not row]
        if sum(saved(d.layer) for d in rest) >= bytes_over:
            taken = rest
    return [d.layer for d in taken]
