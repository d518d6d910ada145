"""What a graph of any maker costs: parameters, multiply-adds and memory, counted from its file alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from passerby.errors import ModelError
from passerby.runtime.blueprint import Blueprint
from passerby.runtime.blueprint_coreml import read_mlpackage
from passerby.runtime.blueprint_ir import read_ir
from passerby.runtime.blueprint_ncnn import read_ncnn
from passerby.runtime.blueprint_onnx import read_onnx
from passerby.runtime.blueprint_pte import read_pte
from passerby.runtime.blueprint_tflite import read_tflite
from passerby.runtime.layer_costs import GraphCosts, count_layers
from passerby.spec import ModelSpec

Size = tuple[int, int]
READERS: dict[str, Callable[[Path, Size | None], Blueprint]] = {
    ".onnx": read_onnx,
    ".xml": lambda path, _: read_ir(path),
    ".tflite": lambda path, _: read_tflite(path),
    ".param": read_ncnn,
    ".pte": lambda path, _: read_pte(path),
    ".mlpackage": lambda path, _: read_mlpackage(path),
    ".dlc": lambda path, size: _read_dlc(path, size),
}


@dataclass(frozen=True)
class Costs:
    """parameters and multiply-adds of one picture (None: not counted), and how they were counted, or why not."""

    parameters: int | None
    macs: int | None
    how: str


def costs_of_spec(spec: ModelSpec) -> Costs:
    """Sums over the layers in a model's own spec, counted when it was exported."""
    if not spec.layers:
        return Costs(None, None, "its spec lists no layers")
    return Costs(sum(x.parameters for x in spec.layers), sum(x.macs for x in spec.layers), "layers in its spec")


def costs_of_file(path: Path, size: Size | None = None) -> Costs:
    """Sums over `costs_of_layers`; where the file cannot be counted, why.

    size  width and height, pixels, for an input that leaves them open
    """
    try:
        found = costs_of_layers(path, size)
    except ModelError as e:
        return Costs(None, None, str(e))
    return Costs(found.parameters, found.macs, found.how)


def costs_of_layers(path: Path, size: Size | None = None) -> GraphCosts:
    """Each layer of a file of any format in READERS; needs no engine but ONNX Runtime.

    size  width and height, pixels, for an input that leaves them open (of an .onnx or a .param file)

    Raises ModelError for a file that cannot be read, or of another format.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise ModelError(f"{path}: layers are counted of {', '.join(READERS)} files, not of {path.suffix or 'this'}")
    return count_layers(read(path, size))


def _read_dlc(path: Path, size: Size | None) -> Blueprint:
    """The graph that a .dlc file was made of: Qualcomm's format is not public."""
    source = path.with_suffix(".onnx")
    if not source.is_file():
        raise ModelError(
            f"{path}: Qualcomm's format is not public; layers are counted of the {source.name} that was exported with "
            "it, which is not beside it: copy it there"
        )
    return replace(read_onnx(source, size), how=f"{source.name} beside it, which it was made of")
