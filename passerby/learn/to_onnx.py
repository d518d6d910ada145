"""A checkpoint -> one .onnx file that takes bytes and gives boxes, or a score and a map; proven to be the network."""

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

from passerby.deploy.stated_boxes import state_default_boxes
from passerby.errors import ParityError
from passerby.files import written_whole
from passerby.geometry.pairing import pair_up
from passerby.geometry.resize import fit
from passerby.learn.checkpoint import load_network
from passerby.learn.engine import Decoded, TorchEngine
from passerby.learn.layers import layers_of
from passerby.learn.network import Detector
from passerby.records import Floats, Ints, Pixels
from passerby.runtime.session import OnnxRuntime
from passerby.spec import METADATA_KEY, ModelSpec

BOX_LIMIT, SCORE_LIMIT = 0.1, 1e-3  # pixels; share
MAP_LIMIT = 1e-5  # of a classifier's scores, and of its maps as shares of their largest value
OPSET = 18


@dataclass(frozen=True)
class Parity:
    """Largest differences between the network and the exported file, over all default boxes that score at all.

    pictures  compared; boxes: input pixels, where either score is at least `floor`; scores: over all default boxes
    maps      of a classifier, which has no boxes: share of the largest value of a picture's maps; None: a detector's
    """

    pictures: int
    boxes: float
    scores: float
    floor: float = 0.01
    maps: float | None = None

    def good(self) -> bool:
        """Whether all are within their limits; what is no number is not."""
        if self.maps is not None:
            return self.scores <= MAP_LIMIT and self.maps <= MAP_LIMIT
        return self.boxes <= BOX_LIMIT and self.scores <= SCORE_LIMIT

    def told(self) -> str:
        """The same in words."""
        if self.maps is not None:
            by = f"{self.scores:.2g} in score and {self.maps:.2g} in its maps (limit {MAP_LIMIT:g})"
        else:
            by = f"{self.boxes:.3g} px (limit {BOX_LIMIT}) and {self.scores:.3g} in score (limit {SCORE_LIMIT})"
        return f"over {self.pictures} pictures the exported graph differs from the network by {by}"


def export(path: Path, out: Path, pictures: Sequence[Pixels], name: str = "") -> tuple[ModelSpec, Parity]:
    """Write a checkpoint's network as ONNX: uint8 NHWC in, what `head.decode` gives out, the spec in its metadata.

    path      checkpoint
    out       the .onnx file; written only when it agrees with the network
    pictures  (H, W, 3) uint8 RGB each; put through both. Noise is compared beside them, always
    name      of the model in its metadata; empty: as in the checkpoint

    Raises ModelError for a checkpoint that cannot be read, ParityError when boxes differ by over 0.1 px or scores by
    over 1e-3, or a classifier's scores or maps by over 1e-5 (the file is not written then), OutputError when `out`
    cannot be written.
    """
    network, spec, _ = load_network(path)
    if name:
        spec = spec.with_(name=name)
    spec = spec.with_(layers=layers_of(network, spec))
    return spec, write_onnx(network, spec, out, pictures)


def write_onnx(network: Detector, spec: ModelSpec, out: Path, pictures: Sequence[Pixels]) -> Parity:
    """Write a network in evaluation mode as ONNX. For arguments and errors see `export`."""
    data = to_bytes(network, spec)
    parity = compare(network, spec, data, [*pictures, _noise(spec)])
    if not parity.good():
        raise ParityError(f"{out}: not written: {parity.told()}")
    with written_whole(out) as temporary:
        temporary.write_bytes(data)
    return parity


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
            output_names=["boxes", "scores"] if spec.task == "detect" else ["scores", "maps"],
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
    if spec.anchors:
        state_default_boxes(proto, spec)
    del proto.graph.value_info[:]
    del proto.graph.metadata_props[:]
    del proto.metadata_props[:]
    proto.producer_name, proto.producer_version = "passerby", ""
    onnx.helper.set_model_props(proto, {METADATA_KEY: spec.to_json()})
    return bytes(proto.SerializeToString())


def compare(network: Detector, spec: ModelSpec, data: bytes, pictures: Sequence[Pixels]) -> Parity:
    """The same pictures through the network and through the exported file."""
    if spec.task == "localise":
        return compare_maps(network, spec, data, pictures)
    here, there = TorchEngine(network, torch.device("cpu")), OnnxRuntime(data, spec.name, 0)
    boxes = scores = 0.0
    floor = Parity.floor
    for picture in pictures:
        pixels = fit(picture, spec.width, spec.height, spec.resize)[0][None]
        (box_a, score_a), (box_b, score_b) = here.run(pixels), there.run(pixels)
        if network.head.ranked:
            rows = match_rows(box_a, score_a, box_b, score_b)
            box_b, score_b = box_b[rows], score_b[rows]
        scores = float(np.maximum(scores, np.abs(score_a - score_b).max()))  # unlike max, keeps NaN
        shown = np.maximum(score_a, score_b).max(axis=1) >= floor
        if shown.any():
            boxes = float(np.maximum(boxes, np.abs(box_a[shown] - box_b[shown]).max()))
    return Parity(len(pictures), boxes, scores)


def compare_maps(network: Detector, spec: ModelSpec, data: bytes, pictures: Sequence[Pixels]) -> Parity:
    """`compare` of a classifier with maps."""
    here, there = TorchEngine(network, torch.device("cpu")), OnnxRuntime(data, spec.name, 0)
    scores = maps = 0.0
    for picture in pictures:
        pixels = fit(picture, spec.width, spec.height, spec.resize)[0][None]
        (score_a, map_a), (score_b, map_b) = here.run(pixels), there.run(pixels)
        scores = float(np.maximum(scores, np.abs(score_a - score_b).max()))  # unlike max, keeps NaN
        maps = float(np.maximum(maps, np.abs(map_a - map_b).max() / max(float(np.abs(map_a).max()), 1e-6)))
    return Parity(len(pictures), 0.0, scores, maps=maps)


def match_rows(boxes_a: Floats, scores_a: Floats, boxes_b: Floats, scores_b: Floats) -> Ints:
    """For each row of a, the row of b that it is, each taken once, of two answers whose rows may change places.

    boxes_a, boxes_b    (R, 4); scores_a, scores_b (R, C)
    returns             (R,) rows of b

    A two-stage head sorts by scores, and what differs in the seventh digit may be sorted otherwise. The pairs are those
    of least total difference, measured in limits, so that no limit is loosened: a box that only one side gives has no
    partner that is like it, and shows.
    """
    apart = np.abs(boxes_a[:, None] - boxes_b).max(axis=2) / BOX_LIMIT
    apart += np.abs(scores_a[:, None] - scores_b).max(axis=2) / SCORE_LIMIT
    pairs = dict(pair_up(1 / (1 + np.nan_to_num(apart, nan=np.inf))))
    spare = iter(sorted(set(range(len(boxes_b))) - set(pairs.values())))  # rows that are no number have no partner
    return np.array([pairs[a] if a in pairs else next(spare) for a in range(len(boxes_a))], np.int64)


def _noise(spec: ModelSpec) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 3), dtype=np.uint8)
