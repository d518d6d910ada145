"""Finer last maps from the same weights: strides taken back, and what follows them dilated."""

from __future__ import annotations

from torch import nn

from passerby.errors import SettingError
from passerby.learn.backbones.base import Backbone


def dilate(backbone: Backbone, name: str, stride: int) -> None:
    """Let no map of a backbone be coarser than `stride`; every filter keeps its weights and what it looks at.

    A convolution that would stride past it strides by 1, and those after it take their samples twice as far apart
    (Yu and Koltun 2016, "Multi-scale context aggregation by dilated convolutions"; Chen et al. 2015, "DeepLab"). So
    the fine map, read at every second cell, is the coarse one. It costs four times the multiply-adds there.

    backbone  before weights are loaded and padding is set
    name      as in BACKBONES, for errors
    stride    a power of 2 from 4 on, at most the backbone's coarsest; 0: leave it as it is

    Raises SettingError for another stride, and for a backbone that halves its maps by pooling.
    """
    coarsest = backbone.strides[-1]
    if stride in (0, coarsest):
        return
    if stride not in (good := [s for s in (4, 8, 16, 32) if s <= coarsest]):
        raise SettingError(
            f"model.map_stride is {stride}, {name} can have {', '.join(map(str, good))}, or 0: {coarsest}"
        )
    now, spread = 1, 1
    for m in backbone.modules():
        if isinstance(m, nn.MaxPool2d):
            raise SettingError(f"model.map_stride: {name} halves its maps by pooling, which has no filter; set 0")
        if not isinstance(m, nn.Conv2d):
            continue
        reach = spread
        if m.stride[0] == 2 and now >= stride:
            m.stride, spread = (1, 1), spread * 2  # it still looks at neighbours of the map that it reads
        else:
            now *= m.stride[0]
        if m.kernel_size[0] > 1:
            m.dilation = (reach, reach)
            m.padding = (reach * (m.kernel_size[0] // 2),) * 2
