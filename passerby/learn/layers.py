"""What each layer costs: parameters, multiply-adds, memory."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from passerby.learn.heads.pooled import ActivationMaps
from passerby.learn.network import Detector
from passerby.learn.roi import RoIAlign
from passerby.spec import Layer, ModelSpec


def layers_of(network: Detector, spec: ModelSpec) -> tuple[Layer, ...]:
    """One row a convolution or linear layer, in the order they run; its batch norm's parameters are counted with it.

    Class activation maps read the dense layer's weights, which are counted there.
    Linear layers that run once a proposal, and RoIAlign, are counted over all proposals of a picture.
    A layer that runs over several maps has a row for each, with its parameters in the first. What else has parameters
    of its own (a learnt scale) has a row too.
    Multiply-adds: output elements times the inputs that each is a sum of; additions of biases, batch norm and
    activations are not counted (as torch.utils.flop_counter, divided by 2, does).
    Memory: bytes of the output at float32 for one picture.
    """
    rows: list[Layer] = []
    counted: set[nn.Module] = set()

    def count(module: nn.Module) -> int:
        """Parameters of its own, the first time it runs."""
        new = module not in counted
        counted.add(module)
        return sum(p.numel() for p in module.parameters(recurse=False)) if new else 0

    def add_row(name: str, module: nn.Module, output: Tensor) -> None:
        macs = output.numel() * _terms(module)
        rows.append(Layer(name, _kind(module), _shape(module, output), count(module), macs, output.numel() * 4))

    def add_norm(module: nn.Module) -> None:
        last = rows[-1]
        rows[-1] = Layer(last.name, last.kind, last.shape, last.parameters + count(module), last.macs, last.memory)

    def add_align(name: str, module: RoIAlign, inputs: tuple[list[Tensor], Tensor], output: Tensor) -> None:
        boxes, width = output.shape[1:]
        rows.append(Layer(name, "RoIAlign", (width, boxes, 1), 0, module.macs(*inputs), output.numel() * 4))

    def add_maps(name: str, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        macs = output.numel() * inputs[0].shape[1]
        rows.append(Layer(name, "class activation maps", (*output.shape[1:],), 0, macs, output.numel() * 4))

    handles = []
    for name, module in network.named_modules():
        if isinstance(module, RoIAlign):
            handles.append(module.register_forward_hook(lambda m, ins, out, name=name: add_align(name, m, ins, out)))
        if isinstance(module, ActivationMaps):
            handles.append(module.register_forward_hook(lambda _, ins, out, name=name: add_maps(name, ins, out)))
        if isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_hook(lambda m, _, __: add_norm(m)))
        elif any(True for _ in module.parameters(recurse=False)):
            handles.append(module.register_forward_hook(lambda m, _, out, name=name: add_row(name, m, out)))
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, spec.height, spec.width, 3, dtype=torch.uint8, device=network.mean.device))
    finally:
        for handle in handles:
            handle.remove()
    return tuple(rows)


def sums_of(layers: Iterable[Layer]) -> tuple[int, int, int]:
    """Parameters, multiply-adds, and bytes of all outputs."""
    layers = tuple(layers)
    return sum(x.parameters for x in layers), sum(x.macs for x in layers), sum(x.memory for x in layers)


def folded(network: nn.Module) -> int:
    """Parameters when each batch norm's scale went into its convolution, as converters do: one bias a channel stays."""
    norms = sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    return sum(p.numel() for p in network.parameters()) - norms


def _terms(module: nn.Module) -> int:
    """Products that one output element is a sum of."""
    if isinstance(module, nn.Conv2d):
        return module.kernel_size[0] * module.kernel_size[1] * module.in_channels // module.groups
    return module.in_features if isinstance(module, nn.Linear) else 0


def _kind(module: nn.Module) -> str:
    if not isinstance(module, nn.Conv2d):
        return "linear" if isinstance(module, nn.Linear) else f"{type(module).__name__}, learnt scale"
    text = "depthwise" if module.groups == module.in_channels > 1 else "convolution"
    text += f" {module.kernel_size[0]} x {module.kernel_size[1]}"
    text += f", stride {module.stride[0]}" if module.stride[0] > 1 else ""
    return text + (f", dilation {module.dilation[0]}" if module.dilation[0] > 1 else "")


def _shape(module: nn.Module, output: Tensor) -> tuple[int, int, int]:
    """Channels, rows, columns; of a linear layer its outputs, how often it runs, 1."""
    if isinstance(module, nn.Linear):
        return int(output.shape[-1]), output.numel() // int(output.shape[-1]), 1
    return int(output.shape[1]), int(output.shape[2]), int(output.shape[3])
