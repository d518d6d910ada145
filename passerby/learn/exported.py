"""Our float32 .onnx files as networks again: to go on training what ships, or to be taught by it.

An exported graph holds no batch norm: it was folded into the convolution before it. `load_exported` puts one there that
changes nothing; `settle_statistics` gives it the mean and variance that pictures have at that place, without which the
first step of training, which normalises by its own batch, would see another network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.geometry.resize import fit
from passerby.learn.checkpoint import load_network
from passerby.learn.network import Detector, build
from passerby.records import Pixels
from passerby.runtime.model_file import find_model, read_spec
from passerby.spec import ModelSpec

PICTURES = 128  # that tell mean and variance; their spread settles to a few percent of itself
BATCH = 16
PREFIX = "network."  # of every weight in our graphs: `engine.Decoded` holds the network under this name


def is_exported(model: str | Path) -> bool:
    """Whether a word stands for an .onnx file: its path, or the name of a shipped model, mistyped perhaps."""
    path = Path(model)
    return path.suffix.lower() == ".onnx" or (not path.suffix and len(path.parts) == 1 and not path.exists())


def load_trained(model: str | Path) -> tuple[Detector, ModelSpec]:
    """A trained network in evaluation mode, and its spec: of a checkpoint, an exported file or a shipped model's name.

    Raises ModelError when the file is missing, cut short, not of passerby, or not float32.
    """
    if is_exported(model):
        return load_exported(find_model(model))
    network, spec, _ = load_network(Path(model))
    return network, spec


def load_exported(path: Path) -> tuple[Detector, ModelSpec]:
    """The network of a float32 .onnx file that passerby exported, in evaluation mode, and its spec.

    It computes what the file does. Raises ModelError naming what the file lacks.
    """
    spec = read_spec(path)
    if spec.precision != "float32" or spec.outputs != "decoded":
        raise ModelError(
            f"{path}: its weights are {spec.precision}, its outputs {spec.outputs}; training goes on from the float32 "
            "file that `passerby export` makes of a checkpoint"
        )
    network = build(spec, str(path))
    known, wanted = _weights(path), network.state_dict()
    taken = {k: v for k, v in known.items() if k in wanted}
    for name, norm in _folded(network):
        bias = known.get(f"{name}.bias")
        if bias is None:
            raise ModelError(
                f"{path}: it holds no bias of {name}, so its batch norm cannot be put back; start elsewhere"
            )
        same = torch.ones_like(bias)
        taken |= {f"{norm}.bias": bias, f"{norm}.running_mean": torch.zeros_like(bias), f"{norm}.running_var": same}
        taken[f"{norm}.weight"] = same * (1 + network.get_submodule(norm).eps) ** 0.5  # type: ignore[operator]
        taken[f"{norm}.num_batches_tracked"] = torch.tensor(0)
    unfit = [k for k, v in wanted.items() if k not in taken or taken[k].shape != v.shape]
    if unfit:
        raise ModelError(f"{path}: its weights are not those that its spec describes (no {unfit[0]}); begin elsewhere")
    network.load_state_dict(taken)
    return network.eval(), spec


@torch.no_grad()
def settle_statistics(network: Detector, spec: ModelSpec, pictures: Sequence[Pixels]) -> None:
    """Give every batch norm the mean and variance that these pictures have at its place; no answer changes.

    network   in evaluation mode
    pictures  (H, W, 3) uint8 RGB each, at least one
    """
    sums: dict[nn.BatchNorm2d, Tensor] = {}

    def note(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].double()
        count = torch.full_like(x[0, :, 0, 0], x[:, 0].numel())
        found = torch.stack([x.sum((0, 2, 3)), x.square().sum((0, 2, 3)), count])
        sums[norm] = sums.get(norm, torch.zeros_like(found)) + found  # type: ignore[index, call-overload, arg-type]

    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    try:
        for k in range(0, len(pictures), BATCH):
            fitted = [fit(p, spec.width, spec.height, spec.resize)[0] for p in pictures[k : k + BATCH]]
            network(torch.stack([torch.from_numpy(p.copy()) for p in fitted]))
    finally:
        for hook in hooks:
            hook.remove()
    for norm, (total, squares, count) in sums.items():
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=0)
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()  # type: ignore[union-attr]
        shift = norm.bias.double() - norm.running_mean.double() * scale  # type: ignore[union-attr]
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.bias.copy_(shift + mean * scale)
        norm.running_mean.copy_(mean)  # type: ignore[union-attr]
        norm.running_var.copy_(variance)  # type: ignore[union-attr]


def fold(network: Detector) -> None:
    """Take every batch norm into the convolution before it, in place, as an exported graph has it; for use alone."""
    for name, norm in list(_folded(network)):
        convolution, statistics = network.get_submodule(name), network.get_submodule(norm)
        fused = nn.utils.fusion.fuse_conv_bn_eval(convolution, statistics)  # type: ignore[type-var, arg-type]
        convolution.weight, convolution.bias = fused.weight, fused.bias  # its hooks (padding) stay
        network.set_submodule(norm, nn.Identity())


def _folded(network: Detector) -> Iterator[tuple[str, str]]:
    """The names of each convolution and of the batch norm behind it."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Sequential):
            for (a, first), (b, second) in pairwise(module.named_children()):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    yield f"{name}.{a}", f"{name}.{b}"


def _weights(path: Path) -> dict[str, Tensor]:
    """The graph's weights by their names in the network; a layer's bias, too, which the graph may call otherwise."""
    import onnx
    from onnx import numpy_helper

    try:
        graph: Any = onnx.load(str(path)).graph
    except (ValueError, OSError) as e:
        raise ModelError(f"{path}: onnx cannot read it ({str(e).splitlines()[0]}); copy or export it again") from e
    constants = {c.name: torch.from_numpy(numpy_helper.to_array(c).copy()) for c in graph.initializer}
    named = {k.removeprefix(PREFIX): v for k, v in constants.items() if k.startswith(PREFIX)}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm") and len(node.input) > 2 and node.input[1].endswith(".weight"):
            layer = node.input[1].removeprefix(PREFIX).removesuffix(".weight")
            named[f"{layer}.bias"] = constants[node.input[2]]  # equal ones are stored once, under one name
    return named
