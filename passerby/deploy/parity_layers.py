"""Where two ONNX graphs of one model part: the signal-to-noise ratio layer by layer, over the same pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from passerby.errors import DataError, MissingExtraError, ModelError
from passerby.pictures import read_picture
from passerby.records import SampleSet
from passerby.runtime.model_file import read_metadata
from passerby.runtime.outputs import first_line
from passerby.runtime.predictor import Predictor

if TYPE_CHECKING:
    import onnx

PICTURES = 8  # compared layer by layer
LEAST_DB = 20.0  # of signal over noise: an error of a tenth of the signal
SAID = ("_d", "_DequantizeLinear_Output")  # added to a tensor's name after its rounding: by us, by ONNX Runtime
HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")
BOUNDS = ("Clip", "Relu", "LeakyRelu", "HardSwish", "Sigmoid")  # a quantiser folds these into the layer before them


@dataclass(frozen=True)
class LayerNoise:
    """One tensor of both graphs: signal over the noise between them, decibels; infinite where they are equal.

    name      of the tensor in the first graph
    operator  that makes it there
    ratio     10 log10(sum of a^2 / sum of (a - b)^2), over all elements and pictures
    """

    name: str
    operator: str
    ratio: float


@dataclass(frozen=True)
class Parting:
    """All tensors that could be compared, in the first graph's order.

    how    how tensors were found to be the same: "by name" or "in order"
    least  the limit, decibels
    """

    layers: tuple[LayerNoise, ...]
    pictures: int
    how: str
    least: float = LEAST_DB

    @property
    def first(self) -> LayerNoise | None:
        """The first tensor under the limit; None where there is none."""
        return next((x for x in self.layers if not x.ratio >= self.least), None)

    def record(self) -> dict[str, Any]:
        """As plain JSON; a ratio that is infinite is null."""
        rows = [{**asdict(x), "ratio": round(x.ratio, 2) if math.isfinite(x.ratio) else None} for x in self.layers]
        first = self.first
        return {
            "pictures": self.pictures, "how": self.how, "least": self.least,
            "first": first.name if first else None, "layers": rows,
        }  # fmt: skip

    def told(self) -> str:
        """A row for each layer that multiplies or bounds, one for the last, and the first one under the limit."""
        shown = [x for k, x in enumerate(self.layers) if x.operator in HEAVY + BOUNDS or k == len(self.layers) - 1]
        lines = [f"signal over noise, dB, {self.pictures} pictures, tensors paired {self.how}"]
        for x in shown:
            ratio = "equal" if x.ratio == math.inf else f"{x.ratio:.1f}"
            lines.append(f"  {x.operator:<14}{ratio:>8}{'' if x.ratio >= self.least else ' *':<3}{x.name}")
        if first := self.first:
            lines.append(f"they part first at {first.name} ({first.operator}): under {self.least:g} dB")
        else:
            lines.append(f"no layer is under {self.least:g} dB")
        return "\n".join(lines)


def find_parting(
    files: tuple[Path, Path],
    pair: tuple[Predictor, Predictor],
    samples: SampleSet,
    pictures: int = PICTURES,
    least: float = LEAST_DB,
) -> Parting:
    """Run every operator of both graphs as the files state it, and compare the tensors that mean the same.

    pair     predictors of the files: each prepares pictures in its own way
    samples  of which the first `pictures` are used
    least    decibels from which on a layer is said to agree

    Tensors are the same that go by one name (a quantised graph's: what its next layer reads); where names do not
    match, the layers that multiply are taken in their order.
    Raises MissingExtraError without onnx, ModelError for a file that is no ONNX file, DataError for graphs without
    tensors in common.
    """
    graphs = [_load(file) for file in files]
    pairs, how = _by_name(*graphs), "by name"
    if not any(kind in HEAVY + BOUNDS for _, _, kind in pairs):
        pairs, how = _in_order(*graphs), "in order"
    if not pairs:
        raise DataError(
            f"{files[0].name} and {files[1].name}: no tensor of one is in the other, by name or order; compare outputs"
        )
    sessions = [_session(g, [p[k] for p in pairs]) for k, g in enumerate(graphs)]
    signal, noise = np.zeros(len(pairs)), np.zeros(len(pairs))
    chosen = samples.samples[:pictures]
    for sample in chosen:
        pixels = read_picture(sample.path)
        answers = [_run(s, p, pixels) for s, p in zip(sessions, pair, strict=True)]
        for k, (a_name, b_name, _) in enumerate(pairs):
            a, b = answers[0][a_name].astype(np.float64), answers[1][b_name].astype(np.float64)
            if a.shape != b.shape:
                raise DataError(f"{a_name}: is {a.shape} in one graph, {b.shape} in the other; they are not one model")
            signal[k] += np.square(a).sum()
            noise[k] += np.square(a - b).sum()
    rows = tuple(LayerNoise(a, kind, _decibels(s, n)) for (a, _, kind), s, n in zip(pairs, signal, noise, strict=True))
    return Parting(rows, len(chosen), how, least)


def _load(path: Path) -> onnx.ModelProto:
    try:
        import onnx
    except ImportError as e:
        raise MissingExtraError("onnx", "deploy") from e
    if path.suffix.lower() != ".onnx":
        raise ModelError(f"{path}: layers are compared of .onnx files only; leave --layers out")
    read_metadata(path)  # tells what is no ONNX file in a line
    try:
        return onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    except (OSError, onnx.shape_inference.InferenceError) as e:
        raise ModelError(f"{path}: onnx cannot load it ({first_line(e)}); copy or export it again") from e


def _made(model: onnx.ModelProto) -> dict[str, str]:
    """Tensor -> the operator that makes it, in the graph's order; floating point only."""
    import onnx

    kinds = {v.name: v.type.tensor_type.elem_type for v in (*model.graph.value_info, *model.graph.output)}
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    return {o: n.op_type for n in model.graph.node for o in n.output if kinds.get(o) in floats}


def _by_name(a: onnx.ModelProto, b: onnx.ModelProto) -> list[tuple[str, str, str]]:
    """(tensor of a, tensor of b, operator of a), for what layers read of both."""
    there, out = _made(b), []
    for name, kind in _made(a).items():
        if kind in ("QuantizeLinear", "DequantizeLinear", "Constant", "Shape"):
            continue
        other = next((name + said for said in SAID if name + said in there), name)
        if other in there:
            out.append((name, other, kind))
    return out


def _in_order(a: onnx.ModelProto, b: onnx.ModelProto) -> list[tuple[str, str, str]]:
    """The layers that multiply, first beside first; none where their kinds in order differ."""
    heavy = [[(o, kind) for o, kind in _made(m).items() if kind in HEAVY] for m in (a, b)]
    if [kind for _, kind in heavy[0]] != [kind for _, kind in heavy[1]]:
        return []
    return [(x, y, kind) for (x, kind), (y, _) in zip(*heavy, strict=True)]


def _session(model: onnx.ModelProto, tensors: Sequence[str]) -> onnxruntime.InferenceSession:
    """Nothing fused, so that every tensor is what the file says that it is."""
    import onnx

    known = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=t) for t in tensors if t not in known)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession, predictor: Predictor, pixels: Any) -> Mapping[str, Any]:
    names = [o.name for o in session.get_outputs()]
    answer = session.run(names, {session.get_inputs()[0].name: predictor.prepare(pixels)[0]})
    return dict(zip(names, answer, strict=True))


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 and math.isfinite(noise) else -math.inf
