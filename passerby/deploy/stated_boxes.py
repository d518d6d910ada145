"""Default boxes in an .onnx file as sums of columns, rows and shapes: a few KiB instead of 16 bytes a box."""

from __future__ import annotations

from typing import Any

import numpy as np

from passerby.geometry.anchors import cell_centres, default_boxes
from passerby.spec import ModelSpec

COLUMNS = (slice(0, 4), slice(0, 2), slice(2, 4))  # cx cy w h; centres; sides


def state_default_boxes(proto: Any, spec: ModelSpec) -> None:
    """Put sums in the place of stored default boxes (A, 4), or of their centres or sides (A, 2): the same numbers.

    A large input has more default boxes than a small network has weights. Engines add up once, when they load the file.

    proto  onnx.ModelProto, changed in place; nothing is, where no such constant is in it
    """
    from onnx import numpy_helper

    boxes = default_boxes(spec.anchors, spec.height, spec.width)
    for stored in [i for i in proto.graph.initializer if len(i.dims) == 2 and i.dims[0] == len(boxes)]:
        values = numpy_helper.to_array(stored)
        part = next((c for c in COLUMNS if np.array_equal(values, boxes[:, c])), None)
        if part is not None:
            proto.graph.initializer.remove(stored)
            _lay_out(proto, spec, stored.name, part)


def _lay_out(proto: Any, spec: ModelSpec, name: str, part: slice) -> None:
    """The tensor `name`, some columns of the default boxes, from one sum a map."""
    from onnx import helper, numpy_helper

    constants: dict[str, Any] = {f"{name}_sides": np.array([-1, part.stop - part.start], np.int64)}
    nodes, maps = [], []
    for k, m in enumerate(spec.anchors):
        of = f"{name}_{k}"
        columns, rows = np.zeros((1, m.columns, 1, 4), np.float32), np.zeros((m.rows, 1, 1, 4), np.float32)
        columns[0, :, 0, 0] = cell_centres(m.columns, spec.width)
        rows[:, 0, 0, 1] = cell_centres(m.rows, spec.height)
        shapes = np.array([[[(0, 0, w, h) for w, h in m.sizes]]], np.float32)
        constants |= {f"{of}_{what}": v[..., part] for what, v in zip("xys", (columns, rows, shapes), strict=True)}
        nodes += [
            helper.make_node("Add", [f"{of}_x", f"{of}_y"], [f"{of}_cells"], f"{of}_cells"),
            helper.make_node("Add", [f"{of}_cells", f"{of}_s"], [f"{of}_grid"], f"{of}_grid"),
            helper.make_node("Reshape", [f"{of}_grid", f"{name}_sides"], [of], of),
        ]
        maps.append(of)
    nodes.append(helper.make_node("Concat", maps, [name], name, axis=0))
    for at, node in enumerate(nodes):
        proto.graph.node.insert(at, node)
    proto.graph.initializer.extend(numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in constants.items())
