"""What was published about the networks that ship as recipes, and the same counted of ours."""

from __future__ import annotations

from dataclasses import dataclass, replace

from passerby.learn.layers import folded, layers_of, sums_of
from passerby.learn.network import Detector, build, spec_of
from passerby.recipe import Model, load_recipe, shipped_recipes
from passerby.runtime.published import PUBLISHED as PUBLISHED
from passerby.runtime.published import Published as Published
from passerby.runtime.published import rounded
from passerby.spec import Layer, ModelSpec


@dataclass(frozen=True)
class Size:
    """What an untrained network costs: parameters, multiply-adds, MiB of all outputs at float32, default boxes."""

    parameters: int
    macs: int
    memory: float
    boxes: int

    def told(self) -> str:
        """The same in words."""
        return (
            f"{self.parameters:,} parameters, {self.macs / 1e6:,.1f} M multiply-adds, {self.memory:.1f} MiB, "
            f"{self.boxes:,} default boxes"
        )


def cost_of(model: Model) -> tuple[Detector, ModelSpec, tuple[Layer, ...]]:
    """The untrained network of a recipe's model, its spec, and what its layers cost; nothing is computed.

    Raises SettingError as `spec_of` and the network's parts do.
    """
    spec = spec_of(model)
    network = build(spec).to("meta")
    return network, spec, layers_of(network, spec)


def size_of(model: Model, fold: bool = False) -> Size:
    """The sums of `cost_of`; fold: as if batch norm were folded into the convolutions."""
    network, spec, layers = cost_of(model)
    parameters, macs, memory = sums_of(layers)
    return Size(folded(network) if fold else parameters, macs, memory / 2**20, sum(map(len, spec.anchors)))


def size_like(model: Model, published: Published) -> Size:
    """Ours at the input, with the classes and in the way of counting of a published figure."""
    labels = tuple(f"class {k + 1}" for k in range(published.classes))
    side = published.side
    return size_of(replace(model, labels=labels, loss="mining", height=side, width=side), published.folded)


def compare_with_published(recipe: str) -> list[str]:
    """Lines for people: each published figure of a recipe, ours beside it, and why they differ; none without any."""
    model = load_recipe(recipe).model
    lines = []
    for p in PUBLISHED.get(load_recipe(recipe).name, ()):
        said = [f"{rounded(p.parameters)} parameters"] if p.parameters else []
        said += [f"{rounded(p.macs)} multiply-adds"] if p.macs else []
        said += [f"{p.memory} MiB"] if p.memory else []
        said += [f"{p.boxes:,} default boxes"] if p.boxes else []
        how = f"{p.classes} {'class' if p.classes == 1 else 'classes'} and background, {p.side} x {p.side}"
        how += ", batch norm folded" if p.folded else ""
        lines.append(f"published ({p.source}): {', '.join(said)}")
        lines.append(f"  ours ({how}): {size_like(model, p).told()}")
        lines.append(f"  difference: {p.why}")
    return lines


def sizes_table() -> str:
    """A Markdown table of the shipped recipes' networks, for docs/generate.py."""
    rows = ["| recipe | input | parameters | multiply-adds | outputs, MiB | default boxes |", "|---" * 6 + "|"]
    for name in shipped_recipes():
        model = load_recipe(name).model
        height, width = model.input_size()
        s = size_of(model)
        cells = [f"{s.parameters:,}", f"{s.macs / 1e6:,.1f} M", f"{s.memory:.1f}", f"{s.boxes:,}"]
        rows.append(f"| `{name}` | {width} x {height} | {' | '.join(cells)} |")
    return "\n".join(rows)
