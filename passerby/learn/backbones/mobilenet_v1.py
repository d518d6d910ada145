"""MobileNetV1 (Howard et al. 2017), scaled in width (alpha), with its maps exposed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from passerby.errors import SettingError
from passerby.learn.backbones.base import Backbone, Places, refuse
from passerby.learn.backbones.mobilenet_v2 import conv, scaled

# channels and stride of each depthwise-separable block after the stem: Howard et al. 2017, table 1
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
AT_STRIDE = (1, 2, 2, 6, 2)  # how many of them end at stride 2, 4, 8, 16 and 32


def _places(blocks: Sequence[int]) -> Places:
    """(stride, block) of each entry of a trunk; the stem is (-1, 0)."""
    counts = list(blocks) or list(AT_STRIDE)
    if len(counts) != len(AT_STRIDE) or any(not 1 <= n <= most for n, most in zip(counts, AT_STRIDE, strict=True)):
        raise SettingError(
            f"model.blocks: {counts}: mobilenet_v1 wants {len(AT_STRIDE)} numbers, how many blocks at stride 2, 4, 8, "
            f"16 and 32: at least 1, at most the published {list(AT_STRIDE)}"
        )
    return ((-1, 0), *((stage, block) for stage, n in enumerate(counts) for block in range(n)))


class MobileNetV1(Backbone):
    """The trunk, giving at each of the strides 4, 8, 16 and 32 the last map of that stride.

    width   multiplies channels (alpha of the paper, section 3.3)
    blocks  at stride 2, 4, 8, 16 and 32, instead of the published 1, 2, 2, 6, 2: at least 1, at most those
    depth, last and expand are not of this network

    Raises SettingError for another number of blocks.

    Parameter names: features.0.0 and .1 (stem convolution, batch norm), features.k.0.0 and .1 (depthwise),
    features.k.1.0 and .1 (pointwise), k = 1..13.
    """

    strides = (4, 8, 16, 32)
    published = _places(())

    def __init__(
        self, width: float = 1.0, depth: float = 1.0, blocks: Sequence[int] = (), last: bool = False, expand: int = 6
    ) -> None:
        super().__init__()
        refuse("mobilenet_v1", depth, (), last, expand)
        self.places = _places(blocks)
        channels, stride = scaled(32, width), 2
        layers: list[nn.Module] = [conv(3, channels, 3, 2)]
        ends: dict[int, tuple[int, int]] = {}  # stride -> its last entry, and that one's channels
        for base, step in (BLOCKS[self.published.index(place) - 1] for place in self.places[1:]):
            outputs = scaled(base, width)
            layers.append(nn.Sequential(conv(channels, channels, 3, step, channels), conv(channels, outputs, 1)))
            channels, stride = outputs, stride * step
            ends[stride] = len(layers) - 1, channels
        self.features = nn.ModuleList(layers)
        self._taps = {ends[s][0] for s in self.strides}
        self.channels = tuple(ends[s][1] for s in self.strides)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for i, block in enumerate(self.features):
            x = block(x)
            if i in self._taps:
                maps.append(x)
        return maps
