"""Export targets: files that other runtimes read. A target is one file, one line in TARGETS and one in MAKERS, or in
`learn.targets.MAKERS` where its converter needs torch.
"""

from __future__ import annotations

from collections.abc import Callable

from passerby.deploy.targets.base import Job, Made, Target
from passerby.deploy.targets.dlc import make_dlc
from passerby.deploy.targets.ncnn_files import make_ncnn
from passerby.deploy.targets.onnx_file import make_onnx
from passerby.deploy.targets.openvino_ir import make_openvino
from passerby.errors import SettingError, did_you_mean

ALL = ("decoded", "raw", "nms")
SIZES = ("float32", "int8")
ONNX = (("onnx", "deploy"),)

TARGETS: dict[str, Target] = {
    "onnx": Target(
        ".onnx",
        "ONNX, for ONNX Runtime and whatever else reads it",
        ONNX,
        ALL,
        ("float32", "float16", "int8"),
        "run by ONNX Runtime and OpenVINO",
        free=True,
    ),
    "openvino": Target(
        ".xml",
        "OpenVINO IR: .xml and .bin",
        (*ONNX, ("openvino", "openvino")),
        ALL,
        SIZES,
        "run by OpenVINO on a processor",
        halves=True,
        free=True,
    ),
    "tflite": Target(
        ".tflite",
        "LiteRT, which was TensorFlow Lite",
        (*ONNX, ("torch", "train"), ("litert_torch", "litert"), ("ai_edge_litert", "tflite")),
        ("decoded", "raw"),
        SIZES,
        "run by LiteRT on a processor; no phone was",
        torch=True,
    ),
    "ncnn": Target(
        ".param",
        "ncnn: .param, .bin, and the spec beside them as .json",
        (*ONNX, ("pnnx", "ncnn"), ("ncnn", "ncnn")),
        ("raw",),
        SIZES,
        "run by ncnn on a processor, without Vulkan; no phone was",
        halves=True,
    ),
    "coreml": Target(
        ".mlpackage",
        "Core ML: an ML program",
        (*ONNX, ("torch", "train"), ("coremltools", "coreml")),
        ("decoded", "raw"),
        ("float32",),
        "converted; Core ML predicts on a Mac only, and none was there",
        halves=True,
        torch=True,
    ),
    "executorch": Target(
        ".pte",
        "ExecuTorch, for XNNPACK",
        (*ONNX, ("torch", "train"), ("executorch", "executorch")),
        ("decoded", "raw"),
        SIZES,
        "run by ExecuTorch's own runtime on a processor; no phone was",
        torch=True,
    ),
    "dlc": Target(
        "/",
        "a folder for Qualcomm devices: .dlc files where their tools are, inputs, default boxes, decoders, commands",
        ONNX,
        ("raw",),
        SIZES,
        "the graph ran on Qualcomm's HTP emulator; the .dlc was read by no tool, and no phone was there",
    ),
}
MAKERS: dict[str, Callable[[Job], Made]] = {
    "onnx": make_onnx,
    "openvino": make_openvino,
    "ncnn": make_ncnn,
    "dlc": make_dlc,
}


def target_of(name: str) -> Target:
    """A row of TARGETS. Raises SettingError for an unknown name, naming the nearest."""
    if name not in TARGETS:
        raise SettingError(f"no target '{name}'{did_you_mean(name, TARGETS)}")
    return TARGETS[name]
