"""Learning from a better network: who can teach whom; the losses towards what it says: `losses.distil`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from passerby.errors import SettingError
from passerby.geometry.anchors import default_boxes
from passerby.learn.boxes import corners, offsets_of
from passerby.learn.derived import at_size
from passerby.learn.exported import fold, load_trained
from passerby.learn.network import Detector
from passerby.spec import ModelSpec


@dataclass(frozen=True)
class Teacher:
    """A network that says what a student's default boxes should answer; it does not learn.

    network  at the student's input size; theirs: its spec there, with its own default boxes, a row for each of the
             student's
    spec     of the student
    boxes    default boxes (A, 4), the teacher's and the student's; None where they are the same
    """

    network: Detector
    theirs: ModelSpec
    spec: ModelSpec
    boxes: tuple[Tensor, Tensor] | None

    def ask(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Its answer to a batch (B, H, W, 3): logits (B, A, C), offsets (B, A, 4) from the student's default boxes."""
        with torch.no_grad():
            logits, offsets = self.network(pixels)
            if self.boxes:
                theirs, mine = (boxes.to(pixels.device) for boxes in self.boxes)
                offsets = offsets_of(corners(offsets.float(), theirs, self.theirs.variance), mine, self.spec.variance)
        return logits, offsets


def load_teacher(model: str, spec: ModelSpec) -> Teacher:
    """The network of a checkpoint, an exported .onnx file or a shipped model, to teach one of `spec`.

    It looks at the student's input, whatever its own was: it is made of convolutions. Its default boxes may be of other
    sizes, but each of the student's maps needs as many of them, so that a row of one is a row of the other.

    Raises ModelError for a file that cannot be used, SettingError naming the first thing in which the two differ that
    both must share.
    """
    network, theirs = load_trained(model)
    same: dict[str, Callable[[ModelSpec], str]] = {
        "labels": lambda s: ", ".join(s.labels),
        "scoring": lambda s: s.scoring,
        "task": lambda s: s.task,
        "layout": lambda s: str(s.network.get("layout", "f38")),
        "default boxes a cell of each map": lambda s: ", ".join(str(len(m.sizes)) for m in s.anchors),
    }
    for name, told in same.items():
        if (a := told(theirs)) != (b := told(spec)):
            raise SettingError(f"optimiser.teacher: {model}: its {name}: {a}; the recipe's: {b}; both must be the same")
    if spec.scoring != "sigmoid" or network.head.ranked:
        raise SettingError("optimiser.teacher: only for model.head=ssd or plain_ssd with model.loss=focal")
    fitting, there = at_size(network, theirs.with_(resize=spec.resize), spec.width, spec.height)
    fold(fitting)
    alike = (there.anchors, there.variance) == (spec.anchors, spec.variance)
    boxes = None if alike else (_boxes_of(there), _boxes_of(spec))
    return Teacher(fitting.requires_grad_(False), there, spec, boxes)


def _boxes_of(spec: ModelSpec) -> Tensor:
    return torch.from_numpy(default_boxes(spec.anchors, spec.height, spec.width))
