"""An OpenVINO .xml as a Blueprint: everything, shapes included, stands in it; OpenVINO is not needed."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from passerby.errors import ModelError
from passerby.runtime.blueprint import Blueprint, Operator, Tensor, product, times

KINDS = {
    "FP32": "float32", "FP16": "float16", "FP64": "float64", "BF16": "bfloat16", "BOOL": "bool", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
    "I4": "int4", "U4": "uint4",
}  # fmt: skip
CONVOLUTIONS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData")


def read_ir(path: Path) -> Blueprint:
    """Operators, tensors and their shapes. Raises ModelError for a file that cannot be read or is no OpenVINO model."""
    try:
        root = ElementTree.parse(path).getroot()
        if root.tag != "net":
            raise ValueError(f"its first tag is <{root.tag}>")
        return _net(root)
    except OSError as e:
        raise ModelError(f"{path}: cannot be read ({e.strerror or e})") from e
    except (ElementTree.ParseError, ValueError, KeyError, AttributeError) as e:
        raise ModelError(f"{path}: not an OpenVINO model, or cut short ({e}); copy or export it again") from e


def _net(root: ElementTree.Element) -> Blueprint:
    """Layers are written in the order in which they can run."""
    came_from = {
        (e.attrib["to-layer"], e.attrib["to-port"]): f"{e.attrib['from-layer']}:{e.attrib['from-port']}"
        for e in root.iterfind("edges/edge")
    }
    tensors: dict[str, Tensor] = {}
    operators: list[Operator] = []
    inputs: list[str] = []
    outputs: list[str] = []
    for layer in root.iterfind("layers/layer"):
        kind, number = layer.attrib["type"], layer.attrib["id"]
        made = [_tensor(port, number, kind == "Const") for port in layer.iterfind("output/port")]
        read = tuple(came_from.get((number, p.attrib["id"]), "") for p in layer.iterfind("input/port"))
        tensors |= {t.name: t for t in made}
        names = tuple(t.name for t in made)
        if kind == "Parameter":
            inputs += names
        elif kind == "Result":
            outputs += read
        elif kind != "Const":
            macs = _macs(layer, kind, [tensors[n].shape if n in tensors else None for n in (*read, *names[:1])])
            operators.append(Operator(layer.attrib["name"], kind, read, names, macs))
    return Blueprint(tuple(operators), tensors, tuple(inputs), tuple(outputs), "the file")


def _tensor(port: ElementTree.Element, layer: str, constant: bool) -> Tensor:
    sides = tuple(int(d.text or "-1") for d in port.iterfind("dim"))
    precision = port.attrib.get("precision", "")
    shape = sides if all(n >= 0 for n in sides) else None
    return Tensor(f"{layer}:{port.attrib['id']}", shape, KINDS.get(precision, precision.lower()), constant)


def _macs(layer: ElementTree.Element, kind: str, shapes: list[tuple[int, ...] | None]) -> int | None:
    """Output elements times the inputs that each is a sum of; `shapes` of the inputs, and last of the output."""
    if kind == "MatMul":
        first, data = shapes[0], layer.find("data")
        turned = data is not None and data.attrib.get("transpose_a") == "true" and first is not None and len(first) > 1
        return times(product(shapes[-1]), first[-2 if turned else -1] if first else None)
    if kind not in CONVOLUTIONS:
        return 0
    weights = shapes[1]
    own = product(weights[2 if kind.startswith("Group") else 1 :]) if weights else None
    return times(product(shapes[0 if "Backprop" in kind else -1]), own)
