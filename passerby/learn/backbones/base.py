"""What every backbone gives: the one interface between pixels and heads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from passerby.errors import SettingError

Places = tuple[tuple[int, int], ...]


class Backbone(nn.Module, ABC):
    """Pixels -> feature maps, finest first.

    input    (B, 3, H, W) float, normalised as the weights want
    output   [(B, channels[i], ceil(H / strides[i]), ceil(W / strides[i]))]

    strides   of the maps, input pixels a cell; known before one is built
    channels  of the maps
    features  its entries in the order they run, named as in published weights; what `freeze` counts
    idle      first words of the names that a weights file may lack: they start at random then
    places    (stage, block) of each entry of `features`, where a trunk can have fewer blocks than the published one
    published the places of the published one

    A row of BACKBONES is called with the width multiplier, the depth multiplier, `blocks`, `last` and `expand` (see
    `recipe.Model`), and raises SettingError naming the field that it has no use for.
    """

    strides: ClassVar[tuple[int, ...]]
    published: ClassVar[Places] = ()
    idle: ClassVar[tuple[str, ...]] = ()
    channels: tuple[int, ...]
    features: nn.ModuleList
    places: Places = ()
    still: tuple[nn.Module, ...] = ()  # what is frozen

    @abstractmethod
    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps of a batch."""

    def own_names(self, source: Mapping[str, Tensor], places: Places = ()) -> dict[str, Tensor]:
        """Tensors of a weights file under the names, and in the shapes, that they have here; others may be in it.

        A trunk of fewer blocks takes the first ones of each stage.
        places  of the trunk that the weights are of; none: the published one's
        """
        theirs = {place: entry for entry, place in enumerate(places or self.published)}
        return {
            f"features.{mine}.{name.removeprefix(f'features.{theirs[place]}.')}": tensor
            for mine, place in enumerate(self.places)
            if place in theirs
            for name, tensor in self._part(source, theirs[place], mine).items()
        }

    def _part(self, source: Mapping[str, Tensor], entry: int, mine: int) -> dict[str, Tensor]:
        """The tensors of one entry of a weights file, for the entry `mine` here."""
        del mine
        return {name: tensor for name, tensor in source.items() if name.startswith(f"features.{entry}.")}

    def freeze(self, blocks: int) -> None:
        """Keep the first `blocks` entries of `features` as they are: no gradient, batch norm in evaluation mode."""
        self._hold(tuple(self.features)[:blocks])

    def unfreeze(self, layers: int, name: str) -> None:
        """Keep all as it is but the last `layers` convolutions, each with its batch norm.

        name  as in BACKBONES, for the error
        Raises SettingError where there are not so many.
        """
        leaves = [m for m in self.modules() if not list(m.children())]
        places = [i for i, m in enumerate(leaves) if isinstance(m, nn.Conv2d)]
        if not 0 <= layers <= len(places):
            raise SettingError(
                f"optimiser.unfreeze is {layers}, {name} has {len(places)} convolutions; set 0 to {len(places)}, or -1"
            )
        self._hold(tuple(leaves[: places[len(places) - layers]] if layers else leaves))

    def _hold(self, parts: tuple[nn.Module, ...]) -> None:
        self.still = parts
        for part in parts:
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        """As nn.Module's, but what is frozen stays in evaluation mode."""
        super().train(mode)
        for part in self.still:
            part.eval()
        return self


def refuse(name: str, depth: float, blocks: Sequence[int], last: bool, expand: int) -> None:
    """Raises SettingError where something is asked of a backbone that only others have."""
    asked_for = {"depth_multiplier": depth != 1.0, "blocks": bool(blocks), "last": last, "expand": expand != 6}
    for field, asked in asked_for.items():
        if asked:
            raise SettingError(f"model.{field}: {name} has none; leave it out (mobilenet_v2 has it)")
