"""A small network as a .pte and an .mlpackage, written by ExecuTorch and coremltools: tests/device_files holds both.

python tests/device_fixtures.py FOLDER
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

FILES = Path(__file__).parent / "device_files"
PARAMETERS = 3 * 8 * 9 + 8 + 8 * 9 + 8 + 8 * 4 + 4 + 12 * 5 + 5  # of the network below, by hand
MACS = 8 * 8 * 8 * 27 + 8 * 8 * 8 * 9 + 4 * 8 * 8 * 8 + 64 * 5 * 12


def small_network(rounded: bool = False) -> Any:
    """Convolutions, one of them depthwise, enlarging, a concatenation, a matrix product: 3 x 16 x 16 -> 64 x 5.

    rounded  to int8: the third convolution's weights, what goes in and what comes out of it
    """
    import torch
    import torch.ao.quantization.fx._decomposed
    from torch import nn

    ops = torch.ops.quantized_decomposed

    def to_int8(x: torch.Tensor) -> torch.Tensor:
        how = (0.05, 0, -128, 127, torch.int8)
        return ops.dequantize_per_tensor(ops.quantize_per_tensor(x, *how), *how)

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, 2, 1)
            self.depthwise = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
            self.pointwise = nn.Conv2d(8, 4, 1)
            self.last = nn.Linear(12, 5)
            self.register_buffer("stored", (self.pointwise.weight * 300).to(torch.int8))
            self.register_buffer("scales", torch.full((4,), 1 / 300))
            self.register_buffer("zeros", torch.zeros(4, dtype=torch.int64))

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.depthwise(nn.functional.relu6(self.stem(pixels))))
            if rounded:
                weight = ops.dequantize_per_channel(self.stored, self.scales, self.zeros, 0, -127, 127, torch.int8)
                y = to_int8(nn.functional.conv2d(to_int8(x), weight, self.pointwise.bias))
            else:
                y = self.pointwise(x)
            y = nn.functional.interpolate(nn.functional.max_pool2d(y, 2, 2), scale_factor=2.0)
            return torch.sigmoid(self.last(torch.cat([x, y], 1).flatten(2).transpose(1, 2)))

    torch.manual_seed(0)
    return Small().eval()


def write_pte(path: Path, rounded: bool = False, delegated: bool = True) -> None:
    """By ExecuTorch (extra [executorch]); delegated: to XNNPACK, what it takes."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.export(small_network(rounded), (torch.zeros(1, 3, 16, 16),))
    partitioner = [XnnpackPartitioner()] if delegated else []
    path.write_bytes(to_edge_transform_and_lower(program, partitioner=partitioner).to_executorch().buffer)


def write_mlpackage(path: Path) -> None:
    """By coremltools (extra [coreml])."""
    import coremltools
    import torch

    program = torch.export.export(small_network(), (torch.zeros(1, 3, 16, 16),)).run_decompositions({})
    target = coremltools.target.iOS16
    coremltools.convert(program, minimum_deployment_target=target).save(str(path))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_pte(folder / "small.pte")
    write_pte(folder / "small.int8.pte", rounded=True)
    write_pte(folder / "small.portable.pte", delegated=False)
    write_mlpackage(folder / "small.mlpackage")
