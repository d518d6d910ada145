"""A torch network behind the runtime's Engine interface, and the decoding that export puts into the graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from passerby.geometry.anchors import default_boxes
from passerby.records import Floats, Pixels
from passerby.spec import ModelSpec


class Decoded(nn.Module):
    """A network with its output decoded: what is exported.

    input   (1, H, W, 3) uint8, RGB
    output  boxes (1, A, 4) float32, x0 y0 x1 y1, input pixels; scores (1, A, C) float32, 0..1

    The inverse of `geometry.boxes.encode`, in torch.
    """

    anchors: Tensor

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network = network
        self.softmax = spec.scoring == "softmax"
        self.variance = spec.variance
        anchors = torch.from_numpy(default_boxes(spec.anchors, spec.height, spec.width))
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits, offsets = self.network(pixels)
        logits, offsets = logits.float(), offsets.float()
        scores = logits.softmax(-1)[..., 1:] if self.softmax else logits.sigmoid()
        centre = self.anchors[:, :2] + offsets[..., :2] * self.variance[0] * self.anchors[:, 2:]
        half = self.anchors[:, 2:] * torch.exp(offsets[..., 2:] * self.variance[1]) * 0.5
        return torch.cat([centre - half, centre + half], -1), scores


class TorchEngine:
    """Runs a network where it is; `runtime.Detector.of(spec, TorchEngine(...))` is a predictor like any other."""

    def __init__(self, network: nn.Module, spec: ModelSpec, device: torch.device, mixed: bool = False) -> None:
        self.decoded = Decoded(network, spec).to(device).eval()
        self.device, self.mixed = device, mixed
        self.name = f"torch {torch.__version__} {device.type} {'bfloat16' if mixed else 'float32'}"

    @torch.inference_mode()
    def run(self, pixels: Pixels) -> tuple[Floats, Floats]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            boxes, scores = self.decoded(torch.from_numpy(pixels).to(self.device))
        return boxes[0].float().cpu().numpy(), scores[0].float().cpu().numpy()
