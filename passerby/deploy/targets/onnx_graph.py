"""Our ONNX graphs taken apart: cut back to raw outputs, made for any batch, given suppression."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from passerby.errors import ModelError, SettingError
from passerby.runtime.model_file import read_spec
from passerby.runtime.outputs import names_of
from passerby.spec import METADATA_KEY, ModelSpec

Proto = Any  # onnx.ModelProto, which onnx does not type
BATCH = "batch"  # the name of the open side


def load_graph(path: Path) -> tuple[Proto, ModelSpec]:
    """One of our .onnx files and its spec. Raises ModelError for a file that is not ours or not ONNX."""
    import onnx

    spec = read_spec(path)
    try:
        proto = onnx.load(str(path))
    except (ValueError, OSError) as e:
        raise ModelError(f"{path}: onnx cannot read it ({str(e).splitlines()[0]}); copy or export it again") from e
    sort_nodes(proto)
    return proto, spec


def sort_nodes(proto: Proto) -> None:
    """Put every node after those that it needs, as ONNX demands; ONNX Runtime and its quantiser do not."""
    made = {out for node in proto.graph.node for out in node.output}
    left, known, ordered = list(proto.graph.node), {""}, []
    while left:
        ready = [n for n in left if all(i in known or i not in made for i in n.input)]
        if not ready:
            raise ModelError(f"{left[0].name or left[0].op_type}: the graph runs in a circle; export the model again")
        for node in ready:
            known.update(node.output)
        ordered += ready
        taken = {id(n) for n in ready}
        left = [n for n in left if id(n) not in taken]
    del proto.graph.node[:]
    proto.graph.node.extend(ordered)


def to_file(proto: Proto, spec: ModelSpec, path: Path) -> None:
    """Check a graph, put its spec inside, write it. Raises ModelError where onnx's checker refuses it."""
    import onnx

    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {METADATA_KEY: spec.to_json()})
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as e:
        raise ModelError(f"{path}: the graph is not valid ({str(e).splitlines()[0]})") from e
    path.write_bytes(proto.SerializeToString())


def cut_to_raw(proto: Proto, spec: ModelSpec) -> ModelSpec:
    """End the graph before decoding: logits (1, A_k, C) and offsets (1, A_k, 4) of each map, named by `names_of`.

    returns  the spec of what it is then

    The tensors are found by their shapes: the first ancestor of `scores`, and of `boxes`, that has one row a default
    box, and the parts of which it is joined, one a map. Raises ModelError where the graph has none: a two-stage
    network, a localiser, or a graph that was cut before.
    """
    from onnx import TensorProto, helper

    if spec.task != "detect" or spec.outputs != "decoded":
        raise ModelError(
            f"{spec.name}: only a detector's decoded graph can be cut to raw outputs; start from that file"
        )
    shapes, made = shapes_of(proto), {out: node for node in proto.graph.node for out in node.output}
    total = sum(map(len, spec.anchors))
    ends = [p for what in ("scores", "boxes") for p in _parts(what, shapes, made, total, spec)]
    raw = spec.with_(outputs="raw")
    _rename(proto, dict(zip(ends, names_of(raw), strict=True)))
    widths = [shapes[p][-1] for p in ends]
    counts = [len(m) for m in spec.anchors] * 2
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, width])
        for name, count, width in zip(names_of(raw), counts, widths, strict=True)
    ]
    del proto.graph.output[:]
    proto.graph.output.extend(values)
    prune(proto)
    return raw


def add_suppression(proto: Proto, spec: ModelSpec, floor: float) -> ModelSpec:
    """End a decoded graph in suppression: boxes (N, 4), scores (N,), labels (N,) int64, the highest score first.

    floor    scores under this are dropped; IoU and most detections are the spec's own
    returns  the spec of what it is then

    The same rule as "hard" in `geometry.nms`, the only one that ONNX has, whatever the model's own: ONNX drops scores
    that are not over its threshold, and boxes whose IoU is over it.
    """
    from onnx import TensorProto, helper, numpy_helper

    if spec.task != "detect" or spec.outputs != "decoded":
        raise ModelError(f"{spec.name}: only a detector's decoded graph can be given suppression; start from that file")
    if not 0 <= floor <= 1:
        raise SettingError(f"the floor is {floor}, want a number from 0 to 1")
    under = float(np.nextafter(np.float32(floor), np.float32(-1)))
    constants: dict[str, Any] = {
        "nms_most": np.array(spec.max_detections, np.int64),
        "nms_iou": np.array(spec.nms_iou, np.float32),
        "nms_floor": np.array(under, np.float32),
        "nms_picture": np.array([0], np.int64),
        "nms_limit": np.array([spec.max_detections], np.int64),
        "nms_columns": np.array([1, 2], np.int64),
        "nms_flat": np.array([-1], np.int64),
        "nms_box": np.array(2, np.int64),
        "nms_label": np.array(1, np.int64),
    }
    proto.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    make = helper.make_node
    _rename(proto, {"boxes": "all_boxes", "scores": "all_scores"})
    proto.graph.node.extend(
        [
            make("Transpose", ["all_scores"], ["nms_by_class"], perm=[0, 2, 1]),
            make(
                "NonMaxSuppression",
                ["all_boxes", "nms_by_class", "nms_most", "nms_iou", "nms_floor"],
                ["nms_kept"],
            ),
            make("Gather", ["nms_kept", "nms_columns"], ["nms_pairs"], axis=1),  # (N, 2): class, box
            make("Squeeze", ["nms_by_class", "nms_picture"], ["nms_table"]),  # (C, A)
            make("GatherND", ["nms_table", "nms_pairs"], ["nms_scores"]),
            make("Shape", ["nms_scores"], ["nms_count"]),
            make("Min", ["nms_count", "nms_limit"], ["nms_shown"]),
            make("TopK", ["nms_scores", "nms_shown"], ["scores", "nms_best"], axis=0),
            make("Gather", ["nms_kept", "nms_best"], ["nms_rows"], axis=0),
            make("Gather", ["nms_rows", "nms_label"], ["labels"], axis=1),
            make("Gather", ["nms_rows", "nms_box"], ["nms_of"], axis=1),
            make("Squeeze", ["all_boxes", "nms_picture"], ["nms_boxes"]),
            make("Gather", ["nms_boxes", "nms_of"], ["boxes"], axis=0),
        ]
    )
    del proto.graph.output[:]
    proto.graph.output.extend(
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["found", 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["found"]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["found"]),
        ]
    )
    prune(proto)
    return spec.with_(outputs="nms", nms="hard")


def free_batch(proto: Proto) -> None:
    """Let a graph take any number of pictures at once: its first side is open.

    Reshapes that state 1 as their first side keep the side that comes in instead. Raises ModelError where a part of
    the graph works for one picture only (suppression, or a two-stage network).
    """
    from onnx import numpy_helper

    fixed = {i.name: i for i in proto.graph.initializer}
    for number, node in enumerate(proto.graph.node):
        if node.op_type in ("NonMaxSuppression", "TopK", "GatherND"):
            raise ModelError(f"{node.op_type}: works for one picture only; export with --batch 1")
        if node.op_type == "Reshape" and node.input[1] in fixed:
            sides = numpy_helper.to_array(fixed[node.input[1]]).copy()
            if len(sides) and sides[0] == 1:
                sides[0] = 0
                name = f"sides_{number}"  # a constant that others may share is left as it is
                proto.graph.initializer.append(numpy_helper.from_array(sides, name))
                node.input[1] = name
                kept = [a for a in node.attribute if a.name != "allowzero"]
                del node.attribute[:]
                node.attribute.extend(kept)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    del proto.graph.value_info[:]
    prune(proto)


def prune(proto: Proto) -> None:
    """Drop nodes and constants that no output needs, and sort nothing: what is left keeps its order."""
    needed = {o.name for o in proto.graph.output}
    kept = []
    for node in reversed(proto.graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    kept.reverse()
    del proto.graph.node[:]
    proto.graph.node.extend(kept)
    used = [i for i in proto.graph.initializer if i.name in needed]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(used)
    del proto.graph.value_info[:]


def shapes_of(proto: Proto) -> dict[str, tuple[int, ...]]:
    """Every tensor's name -> its shape, 0 for an open side."""
    from onnx import shape_inference

    graph = shape_inference.infer_shapes(proto, data_prop=True).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    shapes = {v.name: tuple(int(d.dim_value) for d in v.type.tensor_type.shape.dim) for v in values}
    return shapes | {i.name: tuple(i.dims) for i in graph.initializer}


def _parts(
    what: str, shapes: dict[str, tuple[int, ...]], made: dict[str, Any], total: int, spec: ModelSpec
) -> list[str]:
    """The tensors of each map that an output is decoded from."""
    width = 4 if what == "boxes" else len(spec.labels) + (spec.scoring == "softmax")
    found = [n for n in _ancestors(what, made) if n in made and shapes.get(n) == (1, total, width)]
    counts = [len(m) for m in spec.anchors]
    for name in found:  # the one furthest from the output is the join, or, of a single map, its reshaped convolution
        node = made[name]
        parts = list(node.input) if node.op_type == "Concat" else [name]
        if [shapes.get(p, ())[1:2] for p in parts] == [(c,) for c in counts]:
            return parts
    raise ModelError(
        f"{spec.name}: its output {what} is not joined from {len(counts)} maps, so there are no raw outputs (a "
        "two-stage network has none); export it decoded"
    )


def _ancestors(name: str, made: dict[str, Any]) -> list[str]:
    """Every tensor that one is computed from, itself last, in the order of the graph."""
    order = {out: k for k, out in enumerate(made)}
    seen, todo = {name}, [name]
    while todo:
        node = made.get(todo.pop())
        fresh = [i for i in node.input if i and i not in seen] if node else []
        seen.update(fresh)
        todo += fresh
    return sorted(seen, key=lambda n: order.get(n, -math.inf))


def _rename(proto: Proto, names: dict[str, str]) -> None:
    for node in proto.graph.node:
        node.input[:] = [names.get(i, i) for i in node.input]
        node.output[:] = [names.get(o, o) for o in node.output]
