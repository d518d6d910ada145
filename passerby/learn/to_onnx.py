"""A checkpoint -> one .onnx file that takes bytes and gives boxes, proven to answer as the network does."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from passerby.errors import ParityError
from passerby.files import written_whole
from passerby.geometry.resize import fit
from passerby.learn.checkpoint import load_network
from passerby.learn.engine import Decoded, TorchEngine
from passerby.learn.layers import layers_of
from passerby.learn.network import Detector
from passerby.records import Pixels
from passerby.runtime.session import OnnxRuntime
from passerby.spec import METADATA_KEY, ModelSpec

BOX_LIMIT, SCORE_LIMIT = 0.1, 1e-3  # pixels; share
OPSET = 18


@dataclass(frozen=True)
class Parity:
    """Largest differences between the network and the exported file, over all default boxes that score at all.

    pictures  compared; boxes: input pixels, where either score is at least `floor`; scores: over all default boxes
    """

    pictures: int
    boxes: float
    scores: float
    floor: float = 0.01


def export(path: Path, out: Path, pictures: Sequence[Pixels], name: str = "") -> tuple[ModelSpec, Parity]:
    """Write a checkpoint's network as ONNX: uint8 NHWC in, decoded boxes and scores out, the spec in its metadata.

    path      checkpoint
    out       the .onnx file; written only when it agrees with the network
    pictures  (H, W, 3) uint8 RGB each; put through both. Noise is compared beside them, always
    name      of the model in its metadata; empty: as in the checkpoint

    Raises ModelError for a checkpoint that cannot be read, ParityError when boxes differ by over 0.1 px or scores by
    over 1e-3 (the file is not written then), OutputError when `out` cannot be written.
    """
    network, spec, _ = load_network(path)
    if name:
        spec = spec.with_(name=name)
    spec = spec.with_(layers=layers_of(network, spec))
    data = to_bytes(network, spec)
    parity = compare(network, spec, data, [*pictures, _noise(spec)])
    if not (parity.boxes <= BOX_LIMIT and parity.scores <= SCORE_LIMIT):  # so written that NaN fails
        raise ParityError(
            f"{out}: not written: over {parity.pictures} pictures the exported graph differs from the network by "
            f"{parity.boxes:.3g} px (limit {BOX_LIMIT}) and {parity.scores:.3g} in score (limit {SCORE_LIMIT})"
        )
    with written_whole(out) as temporary:
        temporary.write_bytes(data)
    return spec, parity


def to_bytes(network: Detector, spec: ModelSpec) -> bytes:
    """The ONNX file of a network, with its spec inside."""
    import onnx

    example = torch.zeros(1, spec.height, spec.width, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of the exporter's own libraries
        program = torch.onnx.export(
            Decoded(network).eval(),
            (example,),
            input_names=["pixels"],
            output_names=["boxes", "scores"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    for node in proto.graph.node:  # stack traces with the paths of this machine
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*proto.graph.input, *proto.graph.output):
        del value.metadata_props[:]
    del proto.graph.value_info[:]
    del proto.graph.metadata_props[:]
    del proto.metadata_props[:]
    proto.producer_name, proto.producer_version = "passerby", ""
    onnx.helper.set_model_props(proto, {METADATA_KEY: spec.to_json()})
    return bytes(proto.SerializeToString())


def compare(network: Detector, spec: ModelSpec, data: bytes, pictures: Sequence[Pixels]) -> Parity:
    """The same pictures through the network and through the exported file."""
    here, there = TorchEngine(network, torch.device("cpu")), OnnxRuntime(data, spec.name, 0)
    boxes = scores = 0.0
    floor = Parity.floor
    for picture in pictures:
        pixels = fit(picture, spec.width, spec.height, spec.resize)[0][None]
        (box_a, score_a), (box_b, score_b) = here.run(pixels), there.run(pixels)
        scores = float(np.maximum(scores, np.abs(score_a - score_b).max()))  # unlike max, keeps NaN
        shown = np.maximum(score_a, score_b).max(axis=1) >= floor
        if shown.any():
            boxes = float(np.maximum(boxes, np.abs(box_a[shown] - box_b[shown]).max()))
    return Parity(len(pictures), boxes, scores)


def _noise(spec: ModelSpec) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 3), dtype=np.uint8)
