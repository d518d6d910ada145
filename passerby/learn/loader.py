"""Samples -> batches of fixed-size tensors; decoding, augmenting, resizing and matching run in worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from passerby.data.cache import Cache, Teller, open_cache, side_needed
from passerby.errors import SettingError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.assign import assign
from passerby.geometry.part import cut
from passerby.geometry.resize import fit
from passerby.learn.augment import augment, colour
from passerby.learn.crops import Crop, output_of
from passerby.learn.heads.base import Targets
from passerby.learn.mixing import Input
from passerby.pictures import read_picture
from passerby.recipe import Recipe
from passerby.records import Pixels, Sample, SampleSet, Truth
from passerby.spec import ModelSpec

Key = tuple[int, ...]  # epoch, sample; a picture that an epoch shows again has the number of the turn as well


class Batch(NamedTuple):
    """Pictures (B, H, W, 3) uint8, what they should be answered with, and which (B,) of the samples they are."""

    pixels: Tensor
    targets: Targets
    which: Tensor


class TrainingPictures(Dataset[Batch]):
    """One augmented, matched picture per key, as a batch without its first dimension; see `stack`.

    The key alone decides what comes out, so a run can be resumed.
    """

    def __init__(self, samples: SampleSet, spec: ModelSpec, recipe: Recipe, cache: Cache | None = None) -> None:
        self.samples, self.spec, self.recipe, self.cache = samples, spec, recipe, cache
        self.anchors = default_boxes(spec.anchors, spec.height, spec.width)
        self.maps = spec.anchors if recipe.optimiser.assign == "atss" else ()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Key) -> Batch:
        index = key[1]
        sample = self.samples[index]
        rng = np.random.default_rng((self.recipe.run.seed, *key))
        how, to = self.recipe.augment, Input(self.spec.width, self.spec.height, self.spec.resize)
        pixels, truth = augment(*take(sample, index, self.cache), how, rng, to, lambda: self._another(rng))
        pixels, placement = fit(pixels, self.spec.width, self.spec.height, self.spec.resize)
        pixels = colour(pixels, how, rng)
        truth = Truth(placement.forth(truth.boxes), truth.labels, truth.difficult, truth.ignore)
        labels, offsets = assign(truth, self.anchors, self.recipe.optimiser.match_iou, self.spec.variance, self.maps)
        if not np.isfinite(sample.truth.boxes).all():  # such a box matches nothing and would pass in silence
            labels[0], offsets[0] = 1, np.nan  # so that the loop stops, and names file, object and step
        classes = np.where(truth.ignore | truth.difficult, -1, truth.labels + 1)
        return Batch(
            torch.from_numpy(np.require(pixels, requirements=["C", "W"])),
            Targets(
                torch.from_numpy(labels),
                torch.from_numpy(offsets),
                torch.from_numpy(truth.boxes.astype(np.float32)),
                torch.from_numpy(classes),
            ),
            torch.tensor(index),
        )

    def _another(self, rng: np.random.Generator) -> tuple[Pixels, Truth]:
        """Any training picture, for what mixes several."""
        index = int(rng.integers(len(self.samples)))
        return take(self.samples[index], index, self.cache)


class LabelledPictures(Dataset[Batch]):
    """One augmented picture per key with what the whole of it is: `targets.labels` (1, 1), 0 for the background."""

    def __init__(self, samples: SampleSet, spec: ModelSpec, recipe: Recipe, cache: Cache | None = None) -> None:
        self.samples, self.spec, self.recipe, self.cache = samples, spec, recipe, cache

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Key) -> Batch:
        index = key[1]
        sample = self.samples[index]
        rng = np.random.default_rng((self.recipe.run.seed, *key))
        pixels, truth = take(sample, index, self.cache)
        if isinstance(sample, Crop):
            x, y, width, height = sample.part
            pixels, truth = pixels[y : y + height, x : x + width], cut(truth, x, y, width, height)
        pixels, _ = augment(pixels, truth, self.recipe.augment, rng)
        pixels, _ = fit(pixels, self.spec.width, self.spec.height, self.spec.resize)
        pixels = colour(pixels, self.recipe.augment, rng)
        nothing = torch.zeros(0, 4), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
        return Batch(
            torch.from_numpy(np.require(pixels, requirements=["C", "W"])),
            Targets(torch.tensor([output_of(sample)]), *nothing),
            torch.tensor(index),
        )


def take(sample: Sample, index: int, cache: Cache | None) -> tuple[Pixels, Truth]:
    """A picture, from the cache where there is one, and its truth in the pixels that it has there."""
    if cache is None:
        return read_picture(sample.path), sample.truth
    pixels = cache[index]
    full, now = cache.full_size(index), (pixels.shape[1], pixels.shape[0])
    if now == full:
        return pixels, sample.truth
    scale = np.array(now, np.float32) / np.array(full, np.float32)
    return pixels, replace(sample.truth, boxes=sample.truth.boxes * np.tile(scale, 2))


def stack(parts: Sequence[Batch]) -> Batch:
    """Several pictures as one batch; lists of objects are filled up to the longest."""
    pixels, targets, which = zip(*parts, strict=True)
    labels, offsets, objects, classes, _ = zip(*targets, strict=True)
    boxes, kinds = (nn.utils.rnn.pad_sequence(list(rows), batch_first=True) for rows in (objects, classes))
    answers = Targets(torch.stack(labels), torch.stack(offsets), boxes, kinds)
    return Batch(torch.stack(pixels), answers, torch.stack(which))


class EpochOrder(Sampler[list[Key]]):
    """Batches of one epoch in an order that the seed and the epoch decide; the last, short batch is left out.

    samples  number of pictures
    empty    the numbers of those without objects
    share    of an epoch that pictures without objects make up: all with objects are shown once, the others are drawn,
             none again before each had its turn; under 0: every picture is shown once. Where none is without, a recipe
             that asks for some is still of use: none is shown, and `told` says so

    Raises SettingError where a batch cannot be filled.
    """

    def __init__(self, samples: int, batch: int, seed: int, empty: Sequence[int] = (), share: float = -1.0) -> None:
        self.batch, self.seed, self.epoch = batch, seed, 0
        self.empty, self.drawn, self.lacking = np.asarray(empty, np.int64), 0, share > 0 and not len(empty)
        self.always = np.arange(samples)
        if share >= 0:
            self.always = np.setdiff1d(self.always, self.empty)
            self.drawn = 0 if self.lacking else round(len(self.always) * share / (1 - share))
        self.shown = len(self.always) + self.drawn
        if self.shown < batch:
            raise SettingError(
                f"run.batch={batch} but there are only {self.shown} training pictures; set a smaller batch"
            )

    def __len__(self) -> int:
        return self.shown // self.batch

    def __iter__(self) -> Iterator[list[Key]]:
        turns: dict[int, int] = {}
        keys: list[Key] = []
        for k in [*self.always.tolist(), *self._draw()]:
            turns[k] = turns.get(k, -1) + 1
            keys.append((self.epoch, k, turns[k]) if turns[k] else (self.epoch, k))
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(keys))
        for i in range(len(self)):
            yield [keys[k] for k in order[i * self.batch : (i + 1) * self.batch]]

    def _draw(self) -> list[int]:
        """The pictures without objects of this epoch: its part of an endless row of shuffles, one after another."""
        count = len(self.empty)
        places = range(self.epoch * self.drawn, (self.epoch + 1) * self.drawn)
        rounds = {p // count for p in places}
        shuffled = {r: np.random.default_rng((self.seed, r, count)).permutation(self.empty) for r in rounds}
        return [int(shuffled[p // count][p % count]) for p in places]

    def told(self) -> str:
        """What an epoch shows, in words."""
        if self.lacking:
            return (
                f"an epoch: {len(self.always)} pictures, all with objects; data.negative_share asks for some without: "
                "add them to data.train, e.g. folder:PATH"
            )
        few = ": too few, so some are shown more than once" if self.drawn > len(self.empty) else ""
        return f"an epoch: {len(self.always)} pictures with objects, {self.drawn} of {len(self.empty)} without{few}"


def make_loader(
    samples: SampleSet, spec: ModelSpec, recipe: Recipe, pin: bool, cache: Cache | None = None
) -> tuple[DataLoader[Batch], EpochOrder]:
    """The loader and its order; set `order.epoch` before iterating. Workers stay alive from epoch to epoch.

    cache  of these samples' pixels, as `cache_of` gives it; None: pictures are decoded each time
    """
    detects = spec.task == "detect"
    empty = [i for i, s in enumerate(samples) if (s.truth.ignore.all() if detects else output_of(s) == 0)]
    order = EpochOrder(len(samples), recipe.run.batch, recipe.run.seed, empty, recipe.data.negative_share)
    workers = recipe.run.workers
    if workers:
        cv2.setNumThreads(1)  # a forked worker that inherits OpenCV's threads hangs when it ends them
    loader: DataLoader[Batch] = DataLoader(
        (TrainingPictures if detects else LabelledPictures)(samples, spec, recipe, cache),
        batch_sampler=order,
        collate_fn=stack,
        num_workers=workers,
        pin_memory=pin,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_start_worker if workers else None,
    )
    return loader, order


def cache_of(samples: SampleSet, recipe: Recipe, tell: Teller) -> Cache | None:
    """The cache that `data.cache` asks for, built where need be; None where it asks for none."""
    if not recipe.data.cache:
        return None
    first = f" first {recipe.run.limit}" if recipe.run.limit else ""
    side = recipe.data.cache_side or side_needed(recipe)
    return open_cache(Path(recipe.data.cache), samples.source + first, samples.samples, side, tell)


def _start_worker(number: int) -> None:
    """One thread a worker, and after the step in line: workers fill the gaps that the step leaves on a CPU."""
    if hasattr(os, "nice"):
        os.nice(10)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
