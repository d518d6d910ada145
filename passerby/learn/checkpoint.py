"""Checkpoints: one safetensors file with the weights, and spec, recipe and history as JSON in its metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.files import written_whole
from passerby.learn.network import Detector, build
from passerby.learn.optimise import Average
from passerby.recipe import Recipe
from passerby.spec import ModelSpec


@dataclass
class State:
    """Where a run stands: epochs done, steps done, what was measured, and the best so far."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float = float("-inf")
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def save(
    path: Path,
    network: nn.Module,
    average: Average | None,
    optimiser: torch.optim.Optimizer | None,
    spec: ModelSpec,
    recipe: Recipe,
    state: State,
) -> None:
    """Write a checkpoint whole. Without optimiser it can be exported and measured, but not resumed."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    if average:
        tensors |= {f"average.{k}": v for k, v in average.state().items()}
    if optimiser:
        tensors |= _flatten(optimiser)
    facts = {
        "spec": spec.to_json(),
        "recipe": json.dumps(recipe.to_dict()),
        "state": json.dumps(vars(state)),
        "average_steps": str(average.steps if average else 0),
        "optimiser": type(optimiser).__name__ if optimiser else "",
    }
    with written_whole(path) as temporary:
        safetensors.torch.save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, str(temporary), facts)


def load_network(path: Path) -> tuple[Detector, ModelSpec, dict[str, str]]:
    """The network of a checkpoint as it should be used (the average where there is one), its spec, its metadata.

    Raises ModelError when the file is missing, cut short, or not a checkpoint of passerby.
    """
    tensors, facts = read_checkpoint(path)
    spec = ModelSpec.from_json(facts["spec"], str(path))
    network = build(spec, str(path))
    prefix = "average." if any(k.startswith("average.") for k in tensors) else "network."
    _fill(network, tensors, prefix, path)
    return network.eval(), spec, facts


def write_spec(path: Path, spec: ModelSpec, out: Path) -> None:
    """A copy of a checkpoint with another spec; every tensor's bytes stay as they are. `out` may be the same file.

    A safetensors file is the length of its header (8 bytes, little endian), the header as JSON, and the tensors.
    Raises ModelError as `load_network` does, OutputError when `out` cannot be written.
    """
    _, facts = read_checkpoint(path)
    spec.check(str(out))
    data = memoryview(path.read_bytes())
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8:end]))
    header["__metadata__"] = {**facts, "spec": spec.to_json()}
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)  # so that tensors stay aligned, as the format asks for
    with written_whole(out.resolve()) as temporary:
        temporary.write_bytes(b"".join([len(text).to_bytes(8, "little"), text, data[end:]]))


def restore(
    path: Path, network: nn.Module, average: Average | None, optimiser: torch.optim.Optimizer, recipe: Recipe
) -> State:
    """Put a run back exactly where the checkpoint left it.

    Raises ModelError when the checkpoint cannot be resumed or is of another recipe (naming the first difference).
    """
    tensors, facts = read_checkpoint(path)
    if not facts.get("optimiser") and not any(k.startswith("optimiser.") for k in tensors):
        raise ModelError(f"{path}: holds no optimiser state, so it cannot be resumed; use last.safetensors")
    _same_recipe(json.loads(facts["recipe"]), recipe, path)
    _fill(network, tensors, "network.", path)
    if average:
        _fill(average.network, tensors, "average.", path)
        average.steps = int(facts["average_steps"])
    _unflatten(optimiser, tensors)
    return State(**json.loads(facts["state"]))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor of a checkpoint by its name in the file, and its metadata; raises as `load_network` does."""
    try:
        with safetensors.safe_open(str(path), "pt") as f:
            facts = f.metadata() or {}
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as e:
        raise ModelError(f"{path}: no such checkpoint") from e
    except (OSError, safetensors.SafetensorError) as e:
        raise ModelError(f"{path}: not a checkpoint, or cut short ({e})") from e
    if missing := {"spec", "recipe", "state"} - set(facts):
        raise ModelError(f"{path}: no checkpoint of passerby (no {sorted(missing)[0]} in its metadata)")
    return tensors, facts


def _fill(network: nn.Module, tensors: dict[str, Tensor], prefix: str, path: Path) -> None:
    part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    try:
        network.load_state_dict(part)
    except RuntimeError as e:
        what = str(e).splitlines()[-1].strip()
        raise ModelError(f"{path}: its {prefix[:-1]} weights do not fit ({what:.200})") from e


def _flatten(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State tensors as optimiser.<parameter>.<name>; learning rates follow from the step."""
    out = {}
    for number, values in optimiser.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                out[f"optimiser.{number}.{name}"] = torch.as_tensor(value)
    return out


def _unflatten(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = value
    whole = optimiser.state_dict()
    whole["state"] = state
    optimiser.load_state_dict(whole)


def _same_recipe(old: dict[str, Any], recipe: Recipe, path: Path) -> None:
    new, before = (json.loads(json.dumps(r.to_dict())) for r in (recipe, Recipe()))
    free = {
        ("run", "workers"),
        ("run", "threads"),
        ("run", "device"),
        ("run", "evaluate_every"),
        ("data", "root"),
        ("data", "licence"),
    }
    for section, values in new.items():
        if not isinstance(values, dict):
            continue
        for name, value in values.items():
            was = old.get(section, {}).get(name, before[section][name])  # an older recipe lacks the newest settings
            same = bool(was) == bool(value) if (section, name) == ("data", "cache") else was == value  # it may move
            if (section, name) not in free and not same:
                raise ModelError(
                    f"{path}: was trained with {section}.{name}={was!r}, the recipe says {value!r}; resume with the "
                    f"same settings or start a new run"
                )
