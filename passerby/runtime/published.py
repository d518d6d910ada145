"""Figures that were published of networks which ship as recipes."""

from __future__ import annotations

from dataclasses import dataclass

from passerby.spec import ModelSpec

REFERENCE = "mb2-ssd-lite-f38"


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


def reference_of(spec: ModelSpec) -> Published | None:
    """The reference design's figures, for a model of its family: MobileNetV2 with SSD heads on its four maps.

    Other heads, widths and classes of that family differ in size; what is published is of one of them.
    """
    own = spec.network.get("backbone"), spec.network.get("head")
    cells = [(m.rows, m.columns) for m in spec.anchors]
    if own == ("mobilenet_v2", "ssd") and cells == [(n, n) for n in (38, 19, 10, 5)]:
        return PUBLISHED[REFERENCE][0]
    return None


def rounded(number: float) -> str:
    """As the sources print it: 2,750,864; 6.8 M; 34.9 G."""
    if number != round(number, -5):
        return f"{number:,.0f}"
    return f"{number / 1e9:g} G" if number >= 1e9 else f"{number / 1e6:g} M"
