"""What was published about the networks that ship as recipes, and the same counted of ours."""

from __future__ import annotations

from dataclasses import dataclass, replace

from passerby.learn.layers import folded, layers_of, sums_of
from passerby.learn.network import Detector, build, spec_of
from passerby.recipe import Model, load_recipe, shipped_recipes
from passerby.spec import Layer, ModelSpec


@dataclass(frozen=True)
class Published:
    """Figures of one source, and how to count ours beside them; 0: the source does not say.

    memory   MiB
    classes  beside the background; side: of the input, pixels
    folded   batch norm folded into convolutions
    why      what differs, in a sentence
    """

    source: str
    why: str
    parameters: float = 0
    macs: float = 0
    memory: float = 0
    boxes: int = 0
    classes: int = 20
    side: int = 300
    folded: bool = False


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "mb2-ssd-lite-f38": (
        Published(
            "the reference design, counted in its converted DLC file",
            "counted so, parameters and multiply-adds are the same; with focal loss there is no background column and "
            "5,128 parameters less. Memory is what that engine said it needs to run, and adding up does not give it: "
            "outputs of all convolutions are 51.5 MiB; weights, and all that goes in and out of each convolution, "
            "batch norm and activation, 317 MiB.",
            2_750_864, 618e6, 345.9, classes=1, folded=True,
        ),
    ),
    "mb2-ssd-lite": (
        Published(
            "Sandler et al. 2018, table 6, COCO",
            "the paper does not say how many channels and boxes its extra maps have; ours have the channels of the "
            "public MobileNet-SSD and six boxes a cell.",
            4.3e6, 0.8e9, classes=80, side=320,
        ),
    ),
    "mb1-ssd": (
        Published(
            "Howard et al. 2017, table 13, COCO",
            "with 1 x 1 predictors, as in the authors' public release, ours would have 6.80 M and 1.27 G; the 3 x 3 "
            "predictors of 81 classes are most of this network.",
            6.8e6, 1.2e9, classes=80,
        ),
    ),
    "vgg16-ssd300": (
        Published("Liu et al. 2016, section 3.1 and table 7, VOC", "the same.", boxes=8732),
        Published(
            "the usual count of SSD300 for VOC, 21 classes with background", "the same, rounded.", 26.3e6,
        ),
        Published(
            "Howard et al. 2017, table 13, COCO (SSD300 deeplab-VGG)",
            "the authors' own implementation, of which only these sums were published; ours is that of the SSD paper.",
            33.1e6, 34.9e9, classes=80,
        ),
    ),
    "vgg16-ssd512": (Published("Liu et al. 2016, table 7, VOC", "the same.", boxes=24564, side=512),),
}  # fmt: skip


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
        said = [f"{_rounded(p.parameters)} parameters"] if p.parameters else []
        said += [f"{_rounded(p.macs)} multiply-adds"] if p.macs else []
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


def _rounded(number: float) -> str:
    """As the sources print it: 2,750,864; 6.8 M; 34.9 G."""
    if number != round(number, -5):
        return f"{number:,.0f}"
    return f"{number / 1e9:g} G" if number >= 1e9 else f"{number / 1e6:g} M"
