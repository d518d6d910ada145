"""An ncnn model as a Blueprint: the text of its .param, and the .bin beside it for how weights are stored."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from passerby.errors import ModelError
from passerby.runtime.blueprint import Blueprint, Operator, Tensor, product, times

Sides = tuple[int, ...]  # of a blob, the slowest first: (c, h, w), (h, w) or (w,)
Facts = dict[int, list[float]]

MAGIC = "7767517"
INT8 = 0x000D4B38
STORED = {0x01306B47: "float16", INT8: "int8"}  # the word before a layer's weights; else float32
SAME = (-233, -234)  # paddings that keep ceil(side / stride)
WEIGHING = {  # facts that say how many weights, how many outputs, and whether there is a bias
    "Convolution": (6, 0, 5), "ConvolutionDepthWise": (6, 0, 5), "InnerProduct": (2, 0, 1),
}  # fmt: skip
ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))  # of Permute: sides (c, h, w) from which


def read_ncnn(path: Path, size: tuple[int, int] | None = None) -> Blueprint:
    """Layers and blobs of an ncnn model, of the input that the file states, else of the .json beside it, else `size`.

    size  width and height, pixels

    Raises ModelError for a file that cannot be read, or is none of ncnn's.
    """
    try:
        first, _, *lines = path.read_text(encoding="utf-8").splitlines()
        if first.strip() != MAGIC:
            raise ValueError("it does not begin as one")
        layers = [ParamLayer(line.split()) for line in lines if line.strip()]
        return _Reader(_kind_of(path.with_suffix(".bin"), layers), _sides(path, size)).read(layers)
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as e:
        raise ModelError(f"{path}: not an ncnn file, or cut short ({e}); copy or export it again") from e


class ParamLayer:
    """A line: kind, name, how many blobs in and out, their names, and facts as number=value or -23300-number=n,..."""

    def __init__(self, words: list[str]) -> None:
        self.kind, self.name, many = words[0], words[1], [int(w) for w in words[2:4]]
        blobs = words[4 : 4 + sum(many)]
        self.inputs, self.outputs = tuple(blobs[: many[0]]), tuple(blobs[many[0] :])
        self.facts: Facts = {}
        for word in words[4 + sum(many) :]:
            key, value = word.split("=")
            values = [float(v) for v in value.split(",")]
            self.facts[int(key) if int(key) >= 0 else -23300 - int(key)] = values if int(key) >= 0 else values[1:]

    def fact(self, key: int, default: float = 0) -> int:
        """A fact that is one whole number."""
        return int(self.facts[key][0] if key in self.facts else default)

    def real(self, key: int, default: float) -> float:
        """A fact that is one number."""
        return self.facts[key][0] if key in self.facts else default

    def weights(self) -> tuple[int, ...]:
        """Numbers that the .bin file holds of it, one after the other: weights, biases; of a constant, itself."""
        if self.kind == "MemoryData":
            return (math.prod(self.stored),)
        if not self.flagged:
            return ()
        many, outputs, biased = (self.fact(key) for key in WEIGHING[self.kind])
        return (many, outputs) if biased else (many,)

    @property
    def flagged(self) -> bool:
        """Whether a word before its weights says how they are stored."""
        return self.kind in WEIGHING

    @property
    def stored(self) -> Sides:
        """Sides of a MemoryData blob, the slowest first."""
        return tuple(n for n in (self.fact(2), self.fact(1), self.fact(0)) if n)


class _Reader:
    """Works out the sides of every blob, layer by layer."""

    def __init__(self, kind: str, sides: tuple[int, int] | None) -> None:
        self.kind, self.sides = kind, sides
        self.blobs: dict[str, Sides | None] = {}
        self.same: dict[str, str] = {}  # a copy that Split makes -> what it is of
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []

    def read(self, layers: list[ParamLayer]) -> Blueprint:
        ins = []
        for layer in layers:
            read = tuple(self.same.get(name, name) for name in layer.inputs)
            if layer.kind == "Split":
                self.same |= dict.fromkeys(layer.outputs, read[0])
            elif layer.kind == "Input":
                ins.append(layer.outputs[0])
                self._add(layer.outputs[0], layer.stored or ((3, *self.sides) if self.sides else None))
            elif layer.kind == "MemoryData":
                self._add(layer.outputs[0], layer.stored, constant=True)
            else:
                self._step(layer, read)
        used = {name for op in self.operators for name in op.inputs}
        ends = tuple(o for op in self.operators for o in op.outputs if o not in used)
        return Blueprint(tuple(self.operators), self.tensors, tuple(ins), ends, "the file")

    def _add(self, name: str, sides: Sides | None, kind: str = "float32", constant: bool = False) -> None:
        self.blobs[name] = sides
        batch = () if constant else (1,)
        self.tensors[name] = Tensor(name, None if sides is None else (*batch, *sides), kind, constant)

    def _step(self, layer: ParamLayer, read: tuple[str, ...]) -> None:
        known = [self.blobs.get(name) for name in read]
        sides = SHAPES.get(layer.kind, _unchanged)(layer, [k for k in known if k is not None])
        whole = sides if all(k is not None for k in known) else None
        weights: tuple[str, ...] = ()
        macs: int | None = 0
        if layer.flagged:
            many = layer.weights()
            weights = tuple(f"{layer.name}.{what}" for what in ("weight", "bias")[: len(many)])
            int8 = layer.fact(8) and layer.kind != "InnerProduct"
            for name, count, kind in zip(weights, many, ("int8" if int8 else self.kind, "float32"), strict=False):
                self._add(name, (count,), kind, constant=True)
            cells = product(whole[1:]) if whole else None
            macs = many[0] if layer.kind == "InnerProduct" else times(many[0], cells)
        for name in layer.outputs:
            self._add(name, whole)
        rounds = bool(weights) and self.tensors[weights[0]].kind == "int8"
        self.operators.append(Operator(layer.name, layer.kind, (*read, *weights), layer.outputs, macs, rounds))


def _unchanged(_: ParamLayer, read: list[Sides]) -> Sides | None:
    """As the largest of what is read: element by element, or one that is stretched over another."""
    return max(read, key=math.prod, default=None)


def _convolved(layer: ParamLayer, read: list[Sides]) -> Sides | None:
    if not read or len(read[0]) != 3:
        return None
    out = [layer.fact(0)]
    down = (layer.fact(11, layer.fact(1)), layer.fact(12, layer.fact(2, 1)), layer.fact(13, layer.fact(3, 1)))
    across = (layer.fact(1), layer.fact(2, 1), layer.fact(3, 1))
    left, top = layer.fact(4), layer.fact(14, layer.fact(4))
    pads = ((top, layer.fact(16, top)), (left, layer.fact(15, left)))
    for side, (kernel, dilation, stride), (before, after) in zip(read[0][1:], (down, across), pads, strict=True):
        if before in SAME:
            out.append(-(-side // stride))
        else:
            out.append((side + before + after - dilation * (kernel - 1) - 1) // stride + 1)
    return tuple(out)


def _resized(layer: ParamLayer, read: list[Sides]) -> Sides | None:
    if not read or len(read[0]) != 3:
        return None
    channels, rows, columns = read[0]
    down, across = layer.fact(3), layer.fact(4)
    return channels, down or int(rows * layer.real(1, 1.0)), across or int(columns * layer.real(2, 1.0))


def _reshaped(layer: ParamLayer, read: list[Sides]) -> Sides | None:
    asked = [layer.fact(k, -233) for k in (2, 1, 0)]  # c, h, w; -233: that side is not there
    sides = [n for n in asked if n != -233]
    if not read or 11 in layer.facts or 0 in sides or sides.count(-1) > 1:
        return None
    rest = -math.prod(sides) if -1 in sides else 0
    return tuple(math.prod(read[0]) // rest if n == -1 else n for n in sides)


def _turned(layer: ParamLayer, read: list[Sides]) -> Sides | None:
    if not read:
        return None
    order = layer.fact(0)
    if len(read[0]) == 2:
        return read[0][::-1] if order else read[0]
    known = len(read[0]) == 3 and order < len(ORDERS)
    return tuple(read[0][k] for k in ORDERS[order]) if known else None


def _joined(layer: ParamLayer, read: list[Sides]) -> Sides | None:
    if not read or len({len(r) for r in read}) > 1:
        return None
    axis = layer.fact(0) % len(read[0])
    return tuple(sum(r[k] for r in read) if k == axis else side for k, side in enumerate(read[0]))


def _pooled(layer: ParamLayer, read: list[Sides]) -> Sides | None:
    return (read[0][0],) if read and layer.fact(4) else None


SHAPES: dict[str, Callable[[ParamLayer, list[Sides]], Sides | None]] = {
    "Convolution": _convolved,
    "ConvolutionDepthWise": _convolved,
    "InnerProduct": lambda layer, _: (layer.fact(0),),
    "Interp": _resized,
    "Reshape": _reshaped,
    "Permute": _turned,
    "Concat": _joined,
    "Pooling": _pooled,
    "Crop": lambda *_: None,
    "Slice": lambda *_: None,
    "Padding": lambda *_: None,
    "Deconvolution": lambda *_: None,
    "Reduction": lambda *_: None,
}


def _kind_of(weights: Path, layers: list[ParamLayer]) -> str:
    """How the first layer with weights stores them: one model stores all alike but its INT8 layers, which say so."""
    before = 0
    for layer in layers:
        if layer.flagged:
            with weights.open("rb") as file:
                file.seek(before)
                return STORED.get(int.from_bytes(file.read(4), "little"), "float32")
        before += 4 * sum(layer.weights())
    return "float32"


def _sides(path: Path, size: tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width of the input, by the spec beside it, else by the size that is given."""
    beside = path.with_suffix(".json")
    if beside.is_file():
        spec = json.loads(beside.read_text(encoding="utf-8"))
        return int(spec["height"]), int(spec["width"])
    return (size[1], size[0]) if size else None
