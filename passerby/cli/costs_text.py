"""What a graph costs, as a table for people and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passerby.runtime.blueprint import Tensor
    from passerby.runtime.layer_costs import GraphCosts, LayerCost

NAME = 34  # letters of a layer's name that are shown
ROOM = 40  # letters of an operator and its output


def as_table(costs: GraphCosts, every: bool = False) -> str:
    """A row a layer that multiplies or has parameters (every: all that run), one for the others, sums, and the peak."""
    whole = costs.macs or 0
    shown = [x for x in costs.layers if every or x.macs or x.parameters]
    others = [x for x in costs.layers if not (every or x.macs or x.parameters)]
    lines = [
        f"inputs: {_ports(costs.inputs)}",
        f"outputs: {_ports(costs.outputs)}",
        f"{'layer':<{NAME}}{'operator':<{ROOM - 20}}{'output':>20}{'precision':>17}{'share':>8}{'weights, KiB':>14}"
        f"{'parameters':>12}{'multiply-adds':>15}{'memory, KiB':>13}",
    ]
    lines += [_row(_short(x.name), x.operator, _shape(x.shape), x.precision, [x], whole) for x in shown]
    if others:
        lines.append(_row(f"{len(others)} others", _most_of(others), "", "", others, whole))
    lines.append(_row("sum", "", "", "", costs.layers, whole))
    lines.append(
        f"peak {costs.peak.bytes / 2**20:.2f} MiB of activations, {costs.peak.tensors} tensors alive, at "
        f"{costs.peak.at}; {costs.stored / 2**20:.2f} MiB of constants in the file"
    )
    lines.append(
        "memory: what each layer makes, as an engine keeps it (0: written over its input); counted from " + costs.how
    )
    return "\n".join(lines)


def as_record(costs: GraphCosts | None, why: str) -> dict[str, Any]:
    """As plain JSON; why: it was not counted."""
    if costs is None:
        return {"layers": None, "why": why}
    return {
        "inputs": [asdict(t) for t in costs.inputs],
        "outputs": [asdict(t) for t in costs.outputs],
        "layers": [asdict(x) for x in costs.layers],
        "sums": {
            "parameters": costs.parameters, "macs": costs.macs, "memory": costs.memory, "stored": costs.stored,
        },
        "peak": asdict(costs.peak),
        "how": costs.how,
    }  # fmt: skip


def _row(name: str, operator: str, shape: str, precision: str, layers: Sequence[LayerCost], whole: int) -> str:
    parameters, weights, memory = (sum(getattr(x, k) for x in layers) for k in ("parameters", "weights", "memory"))
    known = [x.macs for x in layers if x.macs is not None]
    macs = f"{sum(known):,}" if len(known) == len(layers) else "not known"
    share = f"{sum(known) / whole:.1%}" if whole else "-"
    left = f"{name:<{NAME}}{operator:<{max(len(operator) + 1, ROOM - len(shape))}}{shape}"
    return f"{left}{precision:>17}{share:>8}{weights / 1024:>14,.1f}{parameters:>12,}{macs:>15}{memory / 1024:>13,.1f}"


def _most_of(layers: Sequence[LayerCost]) -> str:
    """Their operators, the most frequent first, as many as fit."""
    kinds = [f"{n} {k}" for k, n in Counter(x.operator for x in layers).most_common()]
    shown = next((k for k in range(min(3, len(kinds)), 1, -1) if len(", ".join(kinds[:k])) < ROOM - 5), 1)
    return ", ".join(kinds[:shown] + ["..."] * (shown < len(kinds)))


def _short(name: str) -> str:
    """The end of a long name says more than its beginning."""
    return name if len(name) < NAME else "..." + name[4 - NAME :]


def _shape(shape: tuple[int, ...] | None) -> str:
    return "open" if shape is None else " x ".join(map(str, shape)) or "one number"


def _ports(ports: Sequence[Tensor]) -> str:
    return ", ".join(f"{t.name} ({_shape(t.shape)}) {t.kind}" for t in ports)
