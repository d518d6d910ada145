"""Necks: which maps the two stages of Faster R-CNN read. A neck is one class here and one line in NECKS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from passerby.geometry.layouts import LAYOUTS
from passerby.learn.backbones.mobilenet_v2 import conv
from passerby.learn.heads.ssd import TopDown


class Neck(nn.Module):
    """The backbone's maps -> maps of one width that carry default boxes, finest first.

    strides  of those that features of boxes are taken from; maps after them are the first stage's alone
    """

    strides: tuple[int, ...]


class Pyramid(Neck):
    """Layout f38: strides 8 to 64 with a top-down path (Lin et al. 2017, "FPN"), the last for the first stage alone.

    channels  of the backbone's maps at strides 4, 8, 16 and 32; width: of the maps made
    """

    strides = LAYOUTS["f38"].strides

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        last = channels[-1]
        self.extra = nn.Sequential(conv(last, last, 3, 2, last), conv(last, width, 1))
        self.fuse = TopDown([*channels[-4:], width], width, boxes=4)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        fused: list[Tensor] = self.fuse([*maps[-4:], self.extra(maps[-1])])
        return fused


class Single(Neck):
    """Layout c4: one map, at stride 16, as in Ren et al. 2015, brought to `width` channels.

    A trunk that goes on to stride 32 adds that map, doubled: the paper's networks either end at stride 16 (VGG16) or
    run their last stage in each box (He et al. 2016), which costs more than all else here; left out it would idle.
    """

    strides = LAYOUTS["c4"].strides

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.coarser = len(channels) > 2  # VGG16 ends at stride 16
        self.lateral = nn.ModuleList(conv(c, width, 1) for c in (channels[-2:] if self.coarser else channels[-1:]))
        self.smooth = nn.Sequential(conv(width, width, 3, 1, width), conv(width, width, 1))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        side = [lateral(m) for lateral, m in zip(self.lateral, maps[-len(self.lateral) :], strict=True)]
        out = side[0]
        if self.coarser:
            up = nn.functional.interpolate(side[1], scale_factor=2.0, mode="nearest")
            out = out + up[:, :, : out.shape[2], : out.shape[3]]
        return [self.smooth(out)]


NECKS: dict[str, Callable[[Sequence[int], int], Neck]] = {
    "f38": Pyramid,
    "c4": Single,
}
