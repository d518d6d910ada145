"""Qualcomm's own converters, where they are on the PATH. Written by their manual (2.39); never run for real."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from passerby.errors import ModelError

TIME_LIMIT = 1800.0  # seconds


@dataclass(frozen=True)
class Converter:
    """One of Qualcomm's converters.

    program, words      it, and its words; {name} is the model's
    quantiser, ranges   the program that makes the result int8 by pictures, and its words
    gives               the file that it leaves
    """

    program: str
    words: str
    quantiser: str
    ranges: str
    gives: str

    def commands(self, name: str, quantised: bool) -> list[list[str]]:
        """Its command lines, to be run in the folder; quantised: the graph is int8 (QDQ) already and stays so."""
        first = [self.program, *shlex.split(self.words.format(name=name))]
        if quantised:
            return [first]
        return [first, [self.quantiser, *shlex.split(self.ranges.format(name=name))]]


CONVERTERS = (
    Converter(
        "qairt-converter",
        "--input_network {name}.onnx --output_path {name}.dlc",
        "qairt-quantizer",
        "--input_dlc {name}.dlc --output_dlc {name}-int8.dlc --input_list input_list.txt "
        "--use_per_channel_quantization",
        "{name}.dlc",
    ),
    Converter(
        "snpe-onnx-to-dlc",
        "--input_network {name}.onnx --output_path {name}.dlc --input_layout pixels NHWC --preserve_io",
        "snpe-dlc-quant",
        "--input_dlc={name}.dlc --output_dlc={name}-int8.dlc --input_list=input_list.txt "
        "--use_per_channel_quantization",
        "{name}.dlc",
    ),
    Converter(
        "qnn-onnx-converter",
        "--input_network {name}.onnx --output_path {name}.cpp --input_layout pixels NHWC --preserve_io",
        "qnn-onnx-converter",
        "--input_network {name}.onnx --output_path {name}-int8.cpp --input_layout pixels NHWC --preserve_io "
        "--input_list input_list.txt --use_per_channel_quantization",
        "{name}.cpp",
    ),
)


def find_converter() -> Converter | None:
    """The first of CONVERTERS that is on the PATH."""
    return next((c for c in CONVERTERS if shutil.which(c.program)), None)


def convert(converter: Converter, folder: Path, name: str, quantised: bool) -> list[str]:
    """Run a converter in the prepared folder, then its quantiser; where only the quantiser fails, that is told.

    returns  lines for people

    Raises ModelError where the converter fails, or leaves no file.
    """
    first, *rest = converter.commands(name, quantised)
    if said := _run(first, folder):
        raise ModelError(f"{folder.name}: {shlex.join(first)} failed: {said}")
    gives = converter.gives.format(name=name)
    if not (folder / gives).is_file():
        raise ModelError(f"{folder.name}: {shlex.join(first)} ended well, but left no {gives}")
    lines = [f"{gives} was made by {converter.program} of this machine's PATH"]
    for words in rest:
        said = _run(words, folder)
        lines.append(f"{shlex.join(words)}: {'failed: ' + said if said else 'done'}")
    return lines


def _run(words: list[str], folder: Path) -> str:
    """ "" where a command ended well, else what it said last."""
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    except OSError as e:
        return str(e.strerror or e)
    except subprocess.TimeoutExpired:
        return f"did not end within {TIME_LIMIT:.0f} s"
    if not done.returncode:
        return ""
    return (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1][:200]
