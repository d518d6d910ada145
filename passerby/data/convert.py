"""A data set made into another: fewer pictures, other splits, tiles; what is written is the writers' business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from passerby.data.duplicates import groups, near_pairs, same_pairs
from passerby.data.look import Look
from passerby.data.write import Item
from passerby.errors import SettingError
from passerby.geometry.part import cut, tiles
from passerby.pictures import read_picture
from passerby.records import Pixels, Sample, SampleSet


@dataclass(frozen=True)
class Tiling:
    """width, height of a tile, pixels; overlap, share of a tile; empty: whether tiles without objects are kept."""

    width: int
    height: int
    overlap: float = 0.2
    empty: bool = True


def subsample(samples: SampleSet, count: int = 0, share: float = 0.0, seed: int = 0) -> SampleSet:
    """Some of the pictures, chosen at random but always the same for one seed, in their old order.

    count, share  one of them: how many pictures, or which part of them (0 to 1)

    Raises SettingError when neither or both are given, or out of range.
    """
    need_part(count, share)
    wanted = min(count or max(1, round(share * len(samples))), len(samples))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(samples))[:wanted])
    return replace(samples, samples=tuple(samples[int(i)] for i in chosen))


def need_part(count: int, share: float) -> None:
    """Raises SettingError unless one of the two is given, and in range."""
    if (count != 0) == (share != 0) or not 0 <= share <= 1 or count < 0:
        raise SettingError("want a number of pictures over 0, or a share from 0 to 1, not both")


def parse_shares(text: str) -> dict[str, float]:
    """What "--split train=0.8,val=0.2" says. Raises SettingError for shares that are no numbers or not 1 together."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, sep, value = (p.strip() for p in part.partition("="))
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        plain = name.replace("_", "").replace("-", "").isalnum()
        if not sep or not plain or name in shares or not 0 < share <= 1:
            raise SettingError(f"--split {text}: want NAME=SHARE,NAME=SHARE, e.g. train=0.8,val=0.2")
        shares[name] = share
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise SettingError(f"--split {text}: the shares add up to {sum(shares.values()):g}, want 1")
    return shares


def alike_groups(samples: Sequence[Sample], looks: Mapping[Path, Look]) -> list[list[int]]:
    """Pictures that must stay together, as numbers into `samples`: the same or nearly the same, and what links them."""
    seen = [looks[s.path] for s in samples]
    pairs = [(a, b) for a, b, _ in near_pairs(seen)]
    pairs += [(g[0], other) for g in same_pairs(seen) for other in g[1:]]
    return groups(len(samples), pairs)


def split_samples(
    samples: SampleSet, shares: Mapping[str, float], together: Sequence[Sequence[int]], seed: int = 0
) -> SampleSet:
    """Splits by share of the pictures; what belongs together comes into one split, so that nothing leaks.

    shares    split -> share, 1 together
    together  groups of picture numbers, each picture in one

    The largest groups come first, in random order where they are of one size; each goes to the split that lacks most
    of its share. The same seed gives the same splits.
    """
    rng = np.random.default_rng(seed)
    order = sorted((together[int(i)] for i in rng.permutation(len(together))), key=len, reverse=True)
    lacks = {name: share * len(samples) for name, share in shares.items()}
    chosen = [""] * len(samples)
    for group in order:
        name = max(lacks, key=lambda n: lacks[n])
        lacks[name] -= len(group)
        for i in group:
            chosen[i] = name
    return replace(samples, samples=tuple(replace(s, split=n) for s, n in zip(samples, chosen, strict=True)))


def whole_items(samples: SampleSet) -> Iterator[Item]:
    """Every picture as it is."""
    return (Item(sample, sample.path.name) for sample in samples)


def tiled_items(samples: SampleSet, tiling: Tiling) -> Iterator[Item]:
    """Every picture as tiles "NAME_X_Y"; a box of which under half is left becomes a region to ignore.

    Objects of which less than `geometry.part.KEEP` lies in a tile stay as ignore regions there: a tile knows that
    something is cut off. Each picture is decoded once.
    """
    for sample in samples:
        pixels: Pixels | None = None
        for x, y, w, h in tiles(sample.width, sample.height, tiling.width, tiling.height, tiling.overlap):
            truth = cut(sample.truth, x, y, w, h)
            if not tiling.empty and bool(truth.ignore.all()):
                continue
            pixels = read_picture(sample.path) if pixels is None else pixels
            part = np.ascontiguousarray(pixels[y : y + h, x : x + w])
            name = f"{sample.path.stem}_{x}_{y}{sample.path.suffix}"
            yield Item(replace(sample, width=w, height=h, truth=truth), name, lambda part=part: part)  # type: ignore[misc]
