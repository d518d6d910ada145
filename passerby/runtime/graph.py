"""Graphs of any maker: an ONNX, OpenVINO or TFLite file as one array in, several arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from passerby.cores import cores
from passerby.errors import MissingExtraError, ModelError, SettingError, did_you_mean
from passerby.records import Floats
from passerby.runtime.outputs import OPEN as OPEN
from passerby.runtime.outputs import Array as Array
from passerby.runtime.outputs import first_line
from passerby.runtime.session import ENGINES, OnnxRuntime, OpenVino
from passerby.runtime.tuned import default_engine


@dataclass(frozen=True)
class Port:
    """An input or an output: its name ("" where it has none), shape (OPEN where left open), and numpy type."""

    name: str
    shape: tuple[int, ...]
    kind: str = "float32"

    def __str__(self) -> str:
        return f"{self.name or 'unnamed'} ({', '.join('?' if n == OPEN else str(n) for n in self.shape)})"


class Graph(Protocol):
    """A loaded graph.

    name             engine, version, precision where the file leaves it to the engine
    title            what the file calls itself; "" where it does not
    inputs, outputs  its ports
    """

    name: str
    title: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def run(self, array: Array) -> list[Array]:
        """The first input -> every output, in the order of `outputs`."""
        ...


class OnnxGraph:
    """By ONNX Runtime, in the precision that the file has."""

    def __init__(self, path: Path, threads: int) -> None:
        engine = OnnxRuntime(path, str(path), threads)
        self.session, self.title = engine.session, ""
        self.name = engine.name.rsplit(" ", 1)[0]  # the file may hold float16 or int8
        self.inputs = _onnx_ports(self.session.get_inputs())
        self.outputs = _onnx_ports(self.session.get_outputs())

    def run(self, array: Array) -> list[Array]:
        """The first input -> every output, in the order of `outputs`."""
        return [np.asarray(a) for a in self.session.run(None, {self.inputs[0].name: array})]


class OpenVinoGraph:
    """By OpenVINO, in the precision that it finds best; it reads .onnx, .xml and .tflite."""

    def __init__(self, path: Path, threads: int, precision: str = "") -> None:
        engine = OpenVino(path, str(path), threads, precision=precision)
        self.name = engine.name
        compiled = engine.compiled
        self.title = str(compiled.get_property("NETWORK_NAME"))
        self.inputs, self.outputs = _openvino_ports(compiled.inputs), _openvino_ports(compiled.outputs)
        self.request = compiled.create_infer_request()

    def run(self, array: Array) -> list[Array]:
        """The first input -> every output, in the order of `outputs`."""
        self.request.infer([array], share_inputs=True, share_outputs=True)
        return [np.array(self.request.get_output_tensor(k).data) for k in range(len(self.outputs))]


class LiteGraph:
    """By LiteRT (the extra [tflite]): TFLite files, of which OpenVINO cannot read those with suppression inside."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            import ai_edge_litert
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as e:
            raise MissingExtraError(f"ai-edge-litert (for {path.name})", "tflite") from e
        try:
            self.interpreter = Interpreter(str(path), num_threads=threads or cores())
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as e:
            raise ModelError(f"{path}: LiteRT cannot load it ({first_line(e)}); copy or export it again") from e
        self.name, self.title = f"litert {ai_edge_litert.__version__}", ""
        ins, outs = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        self.inputs, self.outputs = _lite_ports(ins), _lite_ports(outs)
        self.places = ins[0]["index"], [o["index"] for o in outs]

    def run(self, array: Array) -> list[Array]:
        """The first input -> every output, in the order of `outputs`."""
        self.interpreter.set_tensor(self.places[0], array)
        self.interpreter.invoke()
        return [np.asarray(self.interpreter.get_tensor(k)) for k in self.places[1]]


def open_graph(path: Path, engine: str = "auto", threads: int = 0) -> Graph:
    """Load a graph of any maker.

    engine   "auto" (OpenVINO where it is installed, as `open_engine`), "onnxruntime" or "openvino", for .onnx files;
             .xml files are always run by OpenVINO, .tflite files by LiteRT
    threads  of the engine; 0: as many as it likes

    Raises ModelError for a file that cannot be loaded, SettingError for an unknown engine or negative threads,
    MissingExtraError where the engine is not installed.
    """
    if threads < 0:
        raise SettingError(f"threads is {threads}, want 0 (all) or more")
    if engine not in ("auto", *ENGINES):
        raise SettingError(f"no engine '{engine}'{did_you_mean(engine, ['auto', *ENGINES])}")
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    if path.suffix == ".tflite":
        return LiteGraph(path, threads)
    if engine == "auto":
        engine = default_engine()
    if path.suffix == ".xml" or engine.startswith("openvino"):
        return OpenVinoGraph(path, threads, "f32" if engine == "openvino-f32" else "")
    return OnnxGraph(path, threads)


def as_floats(outputs: Sequence[Array]) -> list[Floats]:
    """Every array as float32."""
    return [np.asarray(a, np.float32) for a in outputs]


def _onnx_ports(ports: Sequence[Any]) -> tuple[Port, ...]:
    kinds = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(float16)": "float16"}
    return tuple(
        Port(
            p.name,
            tuple(n if isinstance(n, int) and n > 0 else OPEN for n in p.shape),
            kinds.get(p.type, str(p.type).removeprefix("tensor(").removesuffix(")")),
        )
        for p in ports
    )


def _lite_ports(details: Sequence[Any]) -> tuple[Port, ...]:
    return tuple(
        Port(d["name"], tuple(int(n) for n in d["shape_signature"]), np.dtype(d["dtype"]).name) for d in details
    )


def _openvino_ports(ports: Sequence[Any]) -> tuple[Port, ...]:
    kinds = {"f32": "float32", "u8": "uint8", "f16": "float16", "i64": "int64", "i32": "int32"}
    out = []
    for p in ports:
        shape = p.get_partial_shape()
        sides = [n.get_length() if n.is_static else OPEN for n in shape] if shape.rank.is_static else []
        kind = p.get_element_type().get_type_name()
        out.append(Port(p.get_any_name() if p.get_names() else "", tuple(sides), kinds.get(kind, kind)))
    return tuple(out)
