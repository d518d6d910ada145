"""What Qualcomm's converter and a device need, as a folder: graph, inputs, default boxes, decoders, commands."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from passerby.deploy.targets.dlc_convert import CONVERTERS
from passerby.geometry.anchors import default_boxes
from passerby.geometry.resize import BOUND, GREY
from passerby.records import Pixels
from passerby.runtime.outputs import names_of
from passerby.spec import ModelSpec

RESIZING = {
    "stretch": "stretching it",
    "bounded": f"stretching it, one side at most {BOUND:g} times the other, and filling the rest with grey ({GREY})",
    "letterbox": f"fitting it and filling with grey ({GREY})",
}
HERE = Path(__file__).resolve().parent
README = """# {name} for Qualcomm devices

| file | what it is |
|---|---|
| `{name}.onnx` | the graph, {precision}: input `pixels` (1, {height}, {width}, 3) float32, RGB, 0..255; raw outputs |
| `input_list.txt`, `inputs/*.raw` | {count} pictures as that input, float32: for calibration, and to try it |
| `{name}.json` | everything about the model: default boxes, labels, threshold, where it comes from |
| `default_boxes.raw` | ({boxes}, 4) float32: cx cy w h, pixels of the input, in the order of the outputs |
| `decode.py` | raw outputs -> boxes; Python and numpy: `python decode.py output/Result_0` |
| `decode.c`, `model.h` | the same in C: `cc -O2 -o decode decode.c -lm && ./decode output/Result_0` |
| `commands.sh` | the exact commands for each of Qualcomm's converters |

Outputs, each row by row, column by column, box by box: a row of logits, or four offsets, a default box.

{outputs}

A picture becomes the input by {resize} to {width} x {height}; boxes come out in pixels of that input.

{said}
"""


def prepare(folder: Path, spec: ModelSpec, samples: Sequence[Pixels]) -> None:
    """Write everything but the graph and the README into an existing folder."""
    (folder / "inputs").mkdir()
    lines = []
    for k, pixels in enumerate(samples):
        lines.append(f"inputs/{k:04d}.raw")
        (folder / lines[-1]).write_bytes(pixels.astype(np.float32).tobytes())
    (folder / "input_list.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "default_boxes.raw").write_bytes(default_boxes(spec.anchors, spec.height, spec.width).tobytes())
    (folder / f"{spec.name}.json").write_text(spec.to_json(), encoding="utf-8")
    for name in ("decode.py", "decode.c"):
        shutil.copyfile(HERE / f"dlc_{name}", folder / name)
    (folder / "model.h").write_text(header(spec), encoding="utf-8")
    (folder / "commands.sh").write_text(commands(spec), encoding="utf-8")


def describe(folder: Path, spec: ModelSpec, count: int, said: Sequence[str]) -> None:
    """Write the README; said: what was run, and what was not."""
    outputs = "\n".join(f"* `{name}`" for name in names_of(spec))
    text = README.format(
        name=spec.name,
        precision=spec.precision,
        height=spec.height,
        width=spec.width,
        count=count,
        boxes=sum(map(len, spec.anchors)),
        outputs=outputs,
        resize=RESIZING[spec.resize],
        said="\n".join(f"* {line}" for line in said),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def commands(spec: ModelSpec) -> str:
    """A shell script: the commands of each converter, each in a part of its own; it runs the first that is there."""
    parts = ["#!/bin/sh", "# Run in this folder, with Qualcomm's SDK on the PATH.", "set -e"]
    word = "if"
    for converter in CONVERTERS:
        parts.append(f"{word} command -v {converter.program} > /dev/null; then")
        parts += [f"    {shlex.join(c)}" for c in converter.commands(spec.name, spec.precision == "int8")]
        word = "elif"
    return "\n".join([*parts, "else", "    echo 'no converter of Qualcomm is on the PATH' >&2; exit 1", "fi"]) + "\n"


def header(spec: ModelSpec) -> str:
    """model.h for decode.c."""
    classes = len(spec.labels)
    sizes = max(len(m.sizes) for m in spec.anchors)
    rows = []
    for m in spec.anchors:
        pairs = ", ".join(f"{{{_float(w)}, {_float(h)}}}" for w, h in m.sizes)
        rows.append(f"    {{{pairs}}}")
    labels = ", ".join(f'"{_c_text(label)}"' for label in spec.labels)
    return "\n".join(
        [
            f"/* {_c_comment(spec.name)}: made by passerby export --target dlc. */",
            f"#define CLASSES {classes}",
            f"#define SOFTMAX {int(spec.scoring == 'softmax')} /* else sigmoid */",
            f"#define WIDTH_OF_LOGITS {classes + (spec.scoring == 'softmax')}",
            f"#define MAPS {len(spec.anchors)}",
            f"#define BOXES {sum(map(len, spec.anchors))}",
            f"#define INPUT_WIDTH {spec.width}",
            f"#define INPUT_HEIGHT {spec.height}",
            f"#define CENTRE_VARIANCE {_float(spec.variance[0])}",
            f"#define SIZE_VARIANCE {_float(spec.variance[1])}",
            f"#define THRESHOLD {_float(spec.threshold)}",
            f"#define SOFT {int(spec.nms == 'soft')} /* lower the score of what overlaps, else drop it */",
            f"#define IOU {_float(spec.nms_iou)}",
            f"#define MOST {spec.max_detections}",
            f"static const int ROWS[MAPS] = {{{', '.join(str(m.rows) for m in spec.anchors)}}};",
            f"static const int COLUMNS[MAPS] = {{{', '.join(str(m.columns) for m in spec.anchors)}}};",
            f"static const int SIZES[MAPS] = {{{', '.join(str(len(m.sizes)) for m in spec.anchors)}}};",
            "/* width and height of each cell's boxes, pixels of the input */",
            f"static const float SIZE_OF[MAPS][{sizes}][2] = {{",
            ",\n".join(rows),
            "};",
            f"static const char *const LABELS[CLASSES] = {{{labels}}};",
            "",
        ]
    )


def _float(value: float) -> str:
    return f"{float(np.float32(value))!r}f"


def _c_text(text: str) -> str:
    """The inside of a C string: letters, digits and blanks as they are, every other byte in octal."""
    return "".join(chr(b) if (chr(b).isalnum() and b < 128) or b == 32 else f"\\{b:03o}" for b in text.encode("utf-8"))


def _c_comment(text: str) -> str:
    return text.replace("*/", "* /").replace("\n", " ")
