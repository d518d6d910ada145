"""What the tensors of a graph hold on real pictures, and the range of each that INT8 shall cover."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from passerby.deploy.quantise.graph import Graph
from passerby.errors import DataError, ModelError, SourceError
from passerby.pictures import read_picture
from passerby.records import Floats, Pixels
from passerby.runtime.detector import as_input
from passerby.spec import ModelSpec

LEAST = 16  # pictures: fewer do not show what the tensors can hold
SAMPLED = 2048  # values of each tensor kept a picture; its lowest and highest are always those of all values
BINS = 2048
PERCENT = 99.99  # of the values that the percentile method covers
LEVELS = 256  # of eight bits
CLIPPED = 0.3  # the entropy method tries ranges from this share of the whole on
TRIED = 64  # such ranges
TINY = 1e-4  # what takes the place of nothing in a distribution, as a share of one value; keeps logarithms finite

Doubles = np.ndarray[Any, np.dtype[np.float64]]
Ends = tuple[float, float]


@dataclass(frozen=True)
class Seen:
    """What one tensor held.

    low, high  of all its values on all pictures
    values     a sample of them, (SAMPLED * pictures,) float32
    means      (C,) of each channel: of a map that a convolution reads the second side, else the last
    """

    low: float
    high: float
    values: Floats
    means: Doubles


@dataclass(frozen=True)
class Range:
    """What INT8 shall cover of a tensor, low to high, and the means (C,) of its channels."""

    low: float
    high: float
    means: Doubles


@dataclass(frozen=True)
class Inputs:
    """Pictures as a graph takes them.

    pixels   (1, H, W, 3) uint8 each
    paths    of their files
    told     what is odd about them, one sentence each
    """

    pixels: list[Pixels]
    paths: list[Path]
    told: list[str]


def read_inputs(paths: Sequence[Path], spec: ModelSpec, source: str, least: int = LEAST) -> Inputs:
    """Pictures for calibration. What cannot be read, or is of one colour, is left out and told.

    source  the data set's name, for errors
    least   pictures that have to remain

    Raises DataError where fewer remain, saying why.
    """
    pixels, kept, broken, blank, small = [], [], [], 0, 0
    for path in paths:
        try:
            picture = read_picture(path)
        except SourceError as e:
            broken.append(str(e))
            continue
        if picture.min() == picture.max():
            blank += 1
            continue
        small += 2 * picture.shape[0] < spec.height and 2 * picture.shape[1] < spec.width
        pixels.append(as_input(picture, spec)[0])
        kept.append(path)
    lost = []
    if broken:
        lost.append(f"{len(broken)} of {len(paths)} pictures cannot be read, the first: {broken[0]}")
    if blank:
        lost.append(f"{blank} of {len(paths)} pictures are of one colour (black, for example)")
    if len(kept) < least:
        why = f" ({'; '.join(lost)})" if lost else ""
        raise DataError(
            f"{source}: {len(kept)} picture{'' if len(kept) == 1 else 's'} to calibrate with{why}; want at least "
            f"{least}, such as the model will see in use"
        )
    told = [f"{source}: {words}; left out" for words in lost]
    if small:
        told.append(
            f"{source}: {small} of {len(kept)} calibration pictures are less than half as large as the network's input "
            f"({spec.width} x {spec.height}): blown up they are smoother than real ones, and ranges come out too small"
        )
    return Inputs(pixels, kept, told)


def observe(
    graph: Graph, inputs: Sequence[Pixels], threads: int = 0, progress: Callable[[int, int], None] | None = None
) -> dict[str, Seen]:
    """Run the float graph over the pictures and note what each of `graph.tensors` holds.

    Raises ModelError where a tensor holds what is no number.
    """
    run = open_with_outputs(graph.proto, graph.tensors, threads)
    random = np.random.default_rng(0)
    places: dict[str, Any] = {}
    low, high = dict.fromkeys(graph.tensors, np.inf), dict.fromkeys(graph.tensors, -np.inf)
    values: dict[str, list[Floats]] = {t: [] for t in graph.tensors}
    means: dict[str, list[Doubles]] = {t: [] for t in graph.tensors}
    convolved = {i for n in graph.proto.graph.node if n.op_type == "Conv" for i in n.input[:1]}
    for k, pixels in enumerate(inputs):
        for name, array in run(pixels).items():
            if name not in places:
                places[name] = random.integers(0, array.size, min(SAMPLED, array.size))
            low[name], high[name] = min(low[name], array.min()), max(high[name], array.max())
            values[name].append(array.ravel()[places[name]])
            channels = np.moveaxis(array, 1, -1) if name in convolved else array
            means[name].append(channels.reshape(-1, channels.shape[-1]).mean(axis=0, dtype=np.float64))
        if progress:
            progress(k + 1, len(inputs))
    for name in graph.tensors:
        if not np.isfinite([low[name], high[name]]).all():
            raise ModelError(
                f"{graph.spec.name}: tensor '{name}' holds values that are no numbers; train or export again"
            )
    return {
        t: Seen(float(low[t]), float(high[t]), np.concatenate(values[t]), np.mean(means[t], axis=0))
        for t in graph.tensors
    }


def open_with_outputs(proto: Any, names: Sequence[str], threads: int = 0) -> Callable[[Pixels], dict[str, Floats]]:
    """A graph that tells tensors inside it: (1, H, W, 3) uint8 -> name: its values, float32."""
    wide = onnx.ModelProto()
    wide.CopyFrom(proto)
    given = {o.name for o in wide.graph.output}
    floats = onnx.TensorProto.FLOAT
    wide.graph.output.extend(onnx.helper.make_tensor_value_info(t, floats, None) for t in names if t not in given)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # fused tensors are not told
    session = onnxruntime.InferenceSession(wide.SerializeToString(), options, providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0].name
    return lambda pixels: dict(zip(names, session.run(list(names), {first: pixels}), strict=True))


def find_minmax(seen: Seen) -> Ends:
    """Everything that was seen."""
    return seen.low, seen.high


def find_percentile(seen: Seen) -> Ends:
    """What PERCENT of the values lie in, the rest cut off in equal parts at both ends."""
    rest = (100 - PERCENT) / 2
    low, high = np.percentile(seen.values, [rest, 100 - rest])
    return float(low), float(high)


def find_entropy(seen: Seen) -> Ends:
    """The range whose eight-bit values tell most of the distribution: least Kullback-Leibler divergence.

    Ranges are shares of the whole, both ends shrunk alike towards zero. Migacz 2017, "8-bit inference with TensorRT",
    with both ends instead of an absolute value, since activations here have a zero point. Zeros are left out: every
    range holds them exactly, and after an activation there are so many that they would decide alone.
    """
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)  # a range of eight bits holds zero
    if low == high:
        return low, high
    counts, edges = np.histogram(seen.values[seen.values != 0], BINS, (low, high))
    zero = int(np.searchsorted(edges, 0.0))
    best = (np.inf, low, high)
    for share in np.linspace(1, CLIPPED, TRIED):  # the widest first, so that it wins a tie
        a = min(int(np.searchsorted(edges, share * low)), max(zero - 1, 0))
        b = max(int(np.searchsorted(edges, share * high)), a + 1)
        loss = divergence(counts.astype(np.float64), a, min(b, BINS))
        if loss < best[0]:
            best = (loss, float(edges[a]), float(edges[min(b, BINS)]))
    return best[1:]


def divergence(counts: Doubles, a: int, b: int) -> float:
    """Kullback-Leibler divergence, nats, of a histogram from what LEVELS steps over its bins a to b keep of it.

    What lies outside is moved to the bins at the ends, as saturation does. Within a step all bins that hold anything
    hold the same.
    """
    inside = counts[a:b]
    real = inside.copy()
    real[0] += counts[:a].sum()
    real[-1] += counts[b:].sum()
    step = (np.arange(len(inside)) * LEVELS) // len(inside) if len(inside) > LEVELS else np.arange(len(inside))
    filled = inside > 0
    share = np.bincount(step, inside) / np.maximum(np.bincount(step, filled), 1)
    kept = np.where(filled, share[step], 0.0)
    p, q = np.maximum(real, TINY), np.maximum(kept, TINY)
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


METHODS: dict[str, Callable[[Seen], Ends]] = {
    "minmax": find_minmax,
    "percentile": find_percentile,
    "entropy": find_entropy,
}


def find_ranges(seen: Mapping[str, Seen], method: str) -> dict[str, Range]:
    """Tensor -> the range that INT8 shall cover, by a method of METHODS."""
    return {name: Range(*METHODS[method](s), s.means) for name, s in seen.items()}
