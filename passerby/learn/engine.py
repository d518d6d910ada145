"""A torch network behind the runtime's Engine interface, and what export puts into the graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from passerby.learn.network import Detector
from passerby.records import Floats, Pixels


class Decoded(nn.Module):
    """A network with its output decoded: what is exported.

    input   (1, H, W, 3) uint8, RGB
    output  boxes (1, R, 4) float32, x0 y0 x1 y1, input pixels; scores (1, R, C) float32, 0..1
    """

    def __init__(self, network: Detector) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.head.decode(self.network(pixels))


class TorchEngine:
    """Runs a network where it is; `runtime.Detector.of(spec, TorchEngine(...))` is a predictor like any other."""

    def __init__(self, network: Detector, device: torch.device, mixed: bool = False) -> None:
        self.decoded = Decoded(network).to(device).eval()
        self.device, self.mixed = device, mixed
        self.name = f"torch {torch.__version__} {device.type} {'bfloat16' if mixed else 'float32'}"

    @torch.inference_mode()
    def run(self, pixels: Pixels) -> tuple[Floats, Floats]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            boxes, scores = self.decoded(torch.from_numpy(pixels).to(self.device))
        return boxes[0].float().cpu().numpy(), scores[0].float().cpu().numpy()
