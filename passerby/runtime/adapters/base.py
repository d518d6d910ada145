"""What an adapter states of a maker's files: how to know them, what goes in, and how what comes out is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from passerby.geometry.resize import GREY, Placement, fit, scale_to
from passerby.records import Floats, Pixels
from passerby.runtime.graph import OPEN, Array, Graph, Port

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Input:
    """How a picture becomes a graph's input: value = (pixel - mean) / std, in the order of the channels.

    resize  "stretch"; "letterbox": shape kept, in the middle; "corner": shape kept, at the top left
    order   of the channels, "rgb" or "bgr"
    mean, std   a channel, in that order; one number: of all three
    pad     the grey around a picture whose shape is kept
    size    (width, height) where the file leaves it open
    """

    resize: str = "letterbox"
    order: str = "rgb"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    pad: int = GREY
    size: tuple[int, int] = (640, 640)


@dataclass(frozen=True)
class Adapter:
    """One maker's files.

    maker      whose they are, and what is special, in a few words
    find       the graph, and the shapes of its outputs after a run -> which outputs `decode` wants, in its order;
               () where the file is not of this maker
    decode     those outputs as float32, width and height of the input -> boxes (A, 4) x0 y0 x1 y1 in input pixels,
               scores (A, C) 0..1
    input      how pictures go in
    labels     class names where the file states none: (the graph, number of classes) -> names, () where nobody knows
    threshold  scores under this are not shown, as in the maker's demo
    nms_iou    IoU over which the lower score of a class is dropped; None: the graph does it inside
    """

    maker: str
    find: Callable[[Graph, Sequence[Shape]], tuple[int, ...]]
    decode: Callable[[Sequence[Floats], int, int], tuple[Floats, Floats]]
    input: Input
    labels: Callable[[Graph, int], tuple[str, ...]]
    threshold: float
    nms_iou: float | None


def input_size(port: Port, rule: Input) -> tuple[int, int, bool]:
    """Width, height, and whether channels come first, of a graph's input (1, 3, H, W) or (1, H, W, 3)."""
    first = len(port.shape) != 4 or port.shape[3] != 3
    height, width = (port.shape[2], port.shape[3]) if first and len(port.shape) == 4 else port.shape[1:3]
    return (rule.size[0] if width == OPEN else width, rule.size[1] if height == OPEN else height, first)


def lay_out(pixels: Pixels, width: int, height: int, first: bool, rule: Input, kind: str) -> tuple[Array, Placement]:
    """A picture as a graph's input.

    pixels   (H, W, 3) uint8 RGB
    kind     numpy type that the graph takes; uint8 is fed with bytes as they are
    returns  (1, 3, height, width), or (1, height, width, 3) where channels come last; and how the picture lies in it
    """
    small, placement = _fit_corner(pixels, width, height, rule.pad) if rule.resize == "corner" else fit(
        pixels, width, height, rule.resize
    )  # fmt: skip
    if rule.order == "bgr":
        small = small[..., ::-1]
    array: Array = np.ascontiguousarray(small.transpose(2, 0, 1) if first else small)
    if kind != "uint8":
        array = array.astype(np.float32)
        shape = (-1, 1, 1) if first else (-1,)
        if any(rule.mean):
            array -= np.array(rule.mean, np.float32).reshape(shape)
        if rule.std != (1.0,):
            array *= (1 / np.array(rule.std, np.float32)).reshape(shape)
        array = array.astype(kind, copy=False)
    return array[None], placement


def grid(width: int, height: int, strides: Sequence[int]) -> tuple[Floats, Floats]:
    """Cells of feature maps, finest first, row by row: column and row (A, 2), and stride (A, 1)."""
    spots, steps = [], []
    for stride in strides:
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = np.mgrid[:rows, :columns].reshape(2, -1)
        spots.append(np.stack([x, y], axis=1))
        steps.append(np.full((rows * columns, 1), stride))
    return np.concatenate(spots).astype(np.float32), np.concatenate(steps).astype(np.float32)


def cells(width: int, height: int, strides: Sequence[int]) -> int:
    """How many cells feature maps of these strides have."""
    return sum(-(-height // s) * -(-width // s) for s in strides)


def _fit_corner(pixels: Pixels, width: int, height: int, pad: int) -> tuple[Pixels, Placement]:
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    new_w, new_h = (max(1, int(n * scale + 1e-6)) for n in (pixels.shape[1], pixels.shape[0]))
    canvas = np.full((height, width, 3), pad, np.uint8)
    canvas[:new_h, :new_w] = scale_to(pixels, new_w, new_h)
    return canvas, Placement(pixels.shape[1], pixels.shape[0], new_w / pixels.shape[1], new_h / pixels.shape[0])
