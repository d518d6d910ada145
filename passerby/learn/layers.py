"""What each layer costs: parameters, multiply-adds, memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from passerby.learn.network import Detector
from passerby.spec import Layer, ModelSpec


def layers_of(network: Detector, spec: ModelSpec) -> tuple[Layer, ...]:
    """One row a convolution, in the order they run; its batch norm's parameters are counted with it.

    Multiply-adds: output elements times kernel area times input channels a group; additions of biases, batch norm
    and activations are not counted (as torch.utils.flop_counter, divided by 2, does).
    Memory: bytes of the output at float32 for one picture.
    """
    rows: list[Layer] = []
    handles = []

    def watch(name: str, module: nn.Conv2d) -> None:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            kernel = module.kernel_size[0] * module.kernel_size[1]
            macs = output.numel() * kernel * module.in_channels // module.groups
            kind = "depthwise" if module.groups == module.in_channels > 1 else "convolution"
            text = f"{kind} {module.kernel_size[0]} x {module.kernel_size[1]}"
            text += f", stride {module.stride[0]}" if module.stride[0] > 1 else ""
            shape = (int(output.shape[1]), int(output.shape[2]), int(output.shape[3]))
            rows.append(Layer(name, text, shape, sum(p.numel() for p in module.parameters()), macs, output.numel() * 4))

        handles.append(module.register_forward_hook(hook))

    def add_norm(module: nn.BatchNorm2d) -> None:
        def hook(*_: object) -> None:
            last = rows[-1]
            extra = sum(p.numel() for p in module.parameters())
            rows[-1] = Layer(last.name, last.kind, last.shape, last.parameters + extra, last.macs, last.memory)

        handles.append(module.register_forward_hook(hook))

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            watch(name, module)
        elif isinstance(module, nn.BatchNorm2d):
            add_norm(module)
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, spec.height, spec.width, 3, dtype=torch.uint8, device=network.mean.device))
    finally:
        for handle in handles:
            handle.remove()
    return tuple(rows)
