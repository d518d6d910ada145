"""A recipe: everything that decides a training run, as frozen dataclasses with strict overrides."""

from __future__ import annotations

import dataclasses
import json
import math
import runpy
import types
import typing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from passerby.errors import SettingError, did_you_mean


@dataclass(frozen=True)
class Model:
    """The network, and its default boxes.

    sizes   of each map's boxes, square root of the area, input pixels; ratio: height / width of all of them;
            (): the boxes that the layout was published with
    shapes  (w, h) of each map's boxes, input pixels; where given it stands instead of sizes and ratio
    """

    name: str = "model"
    height: int = 300
    width: int = 300
    resolution_multiplier: float = 1.0  # of height and width, and of default boxes given in pixels with them
    resize: str = "stretch"
    backbone: str = "mobilenet_v2"
    width_multiplier: float = 1.0
    depth_multiplier: float = 1.0
    blocks: tuple[int, ...] = ()  # of each stage of the backbone, instead of depth_multiplier; 0: the stage is left out
    expand: int = 6  # MobileNetV2: width inside a block, times its input's; under 6 the weightiest channels are taken
    last: bool = False  # MobileNetV2: its last 1 x 1 convolution, to 1,280 channels, which the usual SSD-Lite reads
    head: str = "ssd"
    layout: str = "f38"  # which maps carry default boxes: geometry/layouts.py
    fusion: int = 0  # channels of the top-down path that gives the fine maps context and detail; 0: plain SSD-Lite
    sizes: tuple[tuple[float, ...], ...] = ()
    ratio: float = 1.7
    shapes: tuple[tuple[tuple[float, float], ...], ...] = ()  # what `passerby anchors` proposes
    weights: str = ""  # ImageNet weights of the backbone (safetensors), under data.root; "": random start
    start: str = (
        ""  # checkpoint, .onnx file (from where you are) or shipped model that a run begins with the weights of
    )
    revive: bool = False  # channels of the backbone that are constant on every picture begin anew: learn/revive.py
    labels: tuple[str, ...] = ("head",)
    loss: str = "focal"  # "mining": softmax, hardest negatives; "sampled": random ones, of two_stage; "cross_entropy"
    proposals: int = 100  # two_stage: boxes of a picture that its second stage looks into
    box_head: int = 256  # two_stage: width of its second stage's two layers
    nms: str = "hard"  # how boxes on each other are suppressed; "soft" lowers scores instead of dropping boxes
    nms_iou: float = 0.45  # from which overlap on
    map_stride: int = 0  # pooled: input pixels a cell of its maps, by dilation; 0: the backbone's coarsest (7 x 7)

    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input, pixels, after the resolution multiplier (rho).

        Howard et al. 2017, "MobileNets", section 3.4. Raises SettingError where it is not over 0.
        """
        rho = self.resolution_multiplier
        if not 0 < rho < math.inf:
            raise SettingError(f"model.resolution_multiplier is {rho:g}, want a number over 0, e.g. 0.75")
        return round(self.height * rho), round(self.width * rho)


@dataclass(frozen=True)
class Data:
    """Where pictures come from: format:path#split, paths under `root`."""

    root: str = "."
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()  # which names stand for model.labels: person=pedestrian+rider, ignore=crowd
    licence: str = ""  # of the training data, as its source states it; travels in the model file
    negative_share: float = -1.0  # share of pictures without objects in an epoch, 0..0.9; -1: each picture once
    val_share: float = 0.2  # pooled: share of the training pictures that validates where val names nothing
    crops: bool = False  # pooled: boxes as pictures with, parts without any object as pictures without
    boxes: str = ""  # pooled: JSON of boxes beside class folders, to choose the map's threshold on held-out ones
    cache: str = ""  # folder (from where you are, as --out) for decoded training pictures; "": none
    cache_side: int = 0  # shorter side of cached pictures, pixels; 0: the least at which no part is enlarged for it

    def sources(self, field: str, example: str) -> tuple[str, ...]:
        """The data sets that `train` or `val` names.

        Raises SettingError where it names none (it says an example), or holds a split that a comma cut off its set.
        """
        named: tuple[str, ...] = getattr(self, field)
        if not named:
            raise SettingError(f"data.{field} is empty; name a data set, e.g. --set data.{field}={example}")
        for before, source in pairwise(named):
            if "#" in before and ":" not in source and not (Path(self.root) / source).exists():
                raise SettingError(
                    f"data.{field}: a comma ends a data set, so '{source}' was read as one; "
                    f"for several splits of a set write --set 'data.{field}=[\"{before},{source}\"]'"
                )
        return named


@dataclass(frozen=True)
class Augment:
    """Random changes of training pictures; probabilities and ranges."""

    flip: float = 0.5
    crop: float = 0.6  # probability of cutting out a part
    crop_scale: tuple[float, float] = (0.3, 1.0)  # side of the part, share of the picture's
    crop_ratio: float = 1.33  # the part's shape differs from the picture's by up to this factor
    expand: float = 0.15  # probability of laying the picture on a larger grey canvas
    expand_scale: float = 1.6  # up to this many times the side
    object_side: tuple[float, float] = (0, 0)  # input pixels that a part or canvas zooms the median object to; 0: any
    paste: float = 0.0  # probability of pasting objects of another picture beside those of like size
    paste_most: int = 6  # pasted objects a picture
    mosaic: float = 0.0  # probability of making a picture of parts of four
    mosaic_scale: tuple[float, float] = (0.6, 1.0)  # their size, times what it is when each stands alone
    colour: float = 0.5  # probability of each: brightness, contrast, saturation, hue
    grey: float = 0.05
    blur: float = 0.05
    shift: float = 0.0  # up to this share of the side, across and down
    zoom: float = 0.0  # side times 1 - zoom to 1 + zoom
    shear: float = 0.0  # degrees, either way
    hide: float = 0.0  # probability of greying each cell of a coarse grid, in half of the pictures


@dataclass(frozen=True)
class Optimiser:
    """How weights move. Learning rate: linear warm-up, then half a cosine down to `final` times the peak."""

    kind: str = "sgd"  # or "adamw", "adam"
    rate: float = 0.01
    momentum: float = 0.9
    nesterov: bool = True
    decay: float = 5e-4  # weight decay; batch norm and biases are left out
    warmup: float = 1.0  # epochs
    final: float = 0.01
    clip: float = 10.0  # largest gradient norm; 0: no limit
    freeze: int = 0  # this many first blocks of the backbone stay as they were pretrained, batch norm too
    unfreeze: int = -1  # only this many last convolutions of the backbone train, with their batch norm; -1: see freeze
    l2: float = 0.0  # pooled: this times the sum of squares of the dense layer's weights is added to the loss
    balance: bool = False  # pooled: a class weighs the less in the loss, the more pictures it has
    average: float = 0.999  # moving average of the weights, decay a step; 0: none
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    quality: bool = False  # focal: the target of a positive is its box's IoU, so that well-placed boxes score highest
    quality_loss: str = "quality_focal"  # or "varifocal", where quality is set
    mining_ratio: float = 3.0  # negatives a positive
    rois: int = 128  # two_stage: boxes of a picture that train its second stage, a quarter of them positive at most
    box_loss: str = "smooth_l1"  # or "giou", "diou", "ciou"
    box_weight: float = 1.0
    box_beta: float = 1.0  # where smooth L1 turns from square to straight
    assign: str = "max_iou"  # which default boxes are an object's: or "atss", "task_aligned"
    match_iou: float = 0.5  # max_iou: a default box that overlaps an object by more is its own
    teacher: str = ""  # checkpoint, .onnx file (from where you are) or shipped model of a better network; "": none
    teacher_weight: float = 1.0  # of what the teacher says, beside the labels
    quantise_aware: bool = False  # round as INT8 does, so that weights get used to it; begin from trained ones (start)


@dataclass(frozen=True)
class Run:
    """How long, how fast, and what is kept."""

    epochs: int = 150
    batch: int = 32
    workers: int = 2
    seed: int = 0
    device: str = "auto"  # cpu, cuda, cuda:1, ...
    precision: str = "auto"  # float32, bfloat16 (mixed); auto: bfloat16 where the machine computes in it
    threads: int = 0  # of the CPU; 0: all
    channels_last: bool = True
    best_by: str = "ap50"
    evaluate_every: int = 1
    limit: int = 0  # use only this many training pictures; 0: all
    recall_warning: float = 0.95  # warn where default boxes can match less of the training objects; 0: never


@dataclass(frozen=True)
class Recipe:
    """Model, data, augmentation, optimiser and run."""

    name: str = "recipe"
    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    augment: Augment = field(default_factory=Augment)
    optimiser: Optimiser = field(default_factory=Optimiser)
    run: Run = field(default_factory=Run)

    def set(self, *overrides: str) -> Recipe:
        """A copy with `section.field=value` overrides applied, e.g. "run.epochs=3", "model.sizes=[[8,16],[32]]".

        Raises SettingError for an unknown section or field (naming the nearest) and for a value of another type.
        """
        recipe = self
        for text in overrides:
            path, sep, value = text.partition("=")
            section, dot, name = path.strip().partition(".")
            if not sep or not dot:
                raise SettingError(f"--set {text}: want SECTION.FIELD=VALUE, e.g. run.epochs=3")
            recipe = recipe._with(section, name, value.strip())
        return recipe

    def _with(self, section: str, name: str, value: str) -> Recipe:
        sections = {f.name for f in dataclasses.fields(self) if f.name != "name"}
        if section not in sections:
            raise SettingError(f"--set {section}.{name}: no section '{section}'{did_you_mean(section, sections)}")
        part = getattr(self, section)
        hints = typing.get_type_hints(type(part))
        if name not in hints:
            raise SettingError(f"--set {section}.{name}: no field '{name}'{did_you_mean(name, hints)}")
        parsed = _parse(value, hints[name], f"--set {section}.{name}")
        return dataclasses.replace(self, **{section: dataclasses.replace(part, **{name: parsed})})

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts, for JSON; `from_dict` is the inverse."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Recipe:
        """Read what `to_dict` gave (lists stand for tuples). Raises SettingError for unknown fields."""
        if "name" not in raw:
            raise SettingError("recipe: it has no name")
        recipe = cls(name=str(raw["name"]))
        for section, values in raw.items():
            if section == "name":
                continue
            if not isinstance(values, dict):
                raise SettingError(f"recipe: section '{section}' is {values!r}, want fields and values")
            for name, value in values.items():
                recipe = recipe._with(section, name, json.dumps(value) if not isinstance(value, str) else value)
        return recipe


def shipped_recipes() -> dict[str, Path]:
    """The recipes inside the package: name -> file. Names have dashes, files underscores."""
    shelf = Path(__file__).resolve().parent / "recipes"
    return {p.stem.replace("_", "-"): p for p in sorted(shelf.glob("*.py")) if not p.name.startswith("_")}


def load_recipe(name: str) -> Recipe:
    """A shipped recipe by name (dashes or underscores), or one from a Python file that sets RECIPE (the file is run).

    Raises SettingError for an unknown name (naming the nearest) or a file without a RECIPE.
    """
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise SettingError(f"{name}: no such recipe file")
        found = runpy.run_path(name).get("RECIPE")
    else:
        known = shipped_recipes()
        if name.replace("_", "-") not in known:
            raise SettingError(f"no recipe '{name}'{did_you_mean(name, known)}; or give a .py file that sets RECIPE")
        found = runpy.run_path(str(known[name.replace("_", "-")])).get("RECIPE")
    if not isinstance(found, Recipe):
        raise SettingError(f"{name}: sets no RECIPE = Recipe(...)")
    return found


def _parse(text: str, kind: Any, where: str) -> Any:
    """A value of the annotated type from text: numbers as Python writes them, lists as JSON or with commas."""
    if kind is str:
        return text
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in words:
            raise SettingError(f"{where}: '{text}' is neither true nor false")
        return words[text.lower()]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError as e:
            raise SettingError(f"{where}: '{text}' is no {'whole number' if kind is int else 'number'}") from e
    if isinstance(kind, types.GenericAlias) or typing.get_origin(kind) is tuple:
        return _parse_tuple(text, kind, where)
    raise SettingError(f"{where}: cannot be set from the command line")


def _parse_tuple(text: str, kind: Any, where: str) -> Any:
    inner = typing.get_args(kind)
    if text.startswith("["):
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as e:
            raise SettingError(f"{where}: '{text}' is no list ({e.msg})") from e
    else:
        raw = [part.strip() for part in text.split(",") if part.strip()]
    many = len(inner) == 2 and inner[1] is Ellipsis
    if not many and len(raw) != len(inner):
        raise SettingError(f"{where}: wants {len(inner)} values, got {len(raw)}")
    kinds = [inner[0]] * len(raw) if many else list(inner)
    return tuple(_parse(v if isinstance(v, str) else json.dumps(v), k, where) for v, k in zip(raw, kinds, strict=True))
