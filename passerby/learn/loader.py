"""Samples -> batches of fixed-size tensors; decoding, augmenting, resizing and matching run in worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from passerby.errors import SettingError
from passerby.geometry.anchors import default_boxes
from passerby.geometry.resize import fit
from passerby.learn.assign import assign
from passerby.learn.augment import augment, colour
from passerby.pictures import read_picture
from passerby.recipe import Recipe
from passerby.records import SampleSet, Truth
from passerby.spec import ModelSpec

Key = tuple[int, int]  # epoch, sample


class Batch(NamedTuple):
    """pixels (B, H, W, 3) uint8; labels (B, A) int64; offsets (B, A, 4) float32; which (B,) of the samples."""

    pixels: Tensor
    labels: Tensor
    offsets: Tensor
    which: Tensor


class TrainingPictures(Dataset[Batch]):
    """One augmented, matched picture per key; the key alone decides what comes out, so a run can be resumed."""

    def __init__(self, samples: SampleSet, spec: ModelSpec, recipe: Recipe) -> None:
        self.samples, self.spec, self.recipe = samples, spec, recipe
        self.anchors = default_boxes(spec.anchors, spec.height, spec.width)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Key) -> Batch:
        epoch, index = key
        sample = self.samples[index]
        rng = np.random.default_rng((self.recipe.run.seed, epoch, index))
        pixels, truth = augment(read_picture(sample.path), sample.truth, self.recipe.augment, rng)
        pixels, placement = fit(pixels, self.spec.width, self.spec.height, self.spec.resize)
        pixels = colour(pixels, self.recipe.augment, rng)
        truth = Truth(placement.forth(truth.boxes), truth.labels, truth.difficult, truth.ignore)
        labels, offsets = assign(truth, self.anchors, self.recipe.optimiser.match_iou, self.spec.variance)
        if not np.isfinite(sample.truth.boxes).all():  # such a box matches nothing and would pass in silence
            labels[0], offsets[0] = 1, np.nan  # so that the loop stops, and names file, object and step
        return Batch(
            torch.from_numpy(np.ascontiguousarray(pixels)),
            torch.from_numpy(labels),
            torch.from_numpy(offsets),
            torch.tensor(index),
        )


class EpochOrder(Sampler[list[Key]]):
    """Batches of one epoch in an order that the seed and the epoch decide; the last, short batch is left out."""

    def __init__(self, samples: int, batch: int, seed: int) -> None:
        if samples < batch:
            raise SettingError(f"run.batch={batch} but there are only {samples} training pictures; set a smaller batch")
        self.samples, self.batch, self.seed, self.epoch = samples, batch, seed, 0

    def __len__(self) -> int:
        return self.samples // self.batch

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.samples)
        for i in range(len(self)):
            yield [(self.epoch, int(k)) for k in order[i * self.batch : (i + 1) * self.batch]]


def make_loader(samples: SampleSet, spec: ModelSpec, recipe: Recipe, pin: bool) -> tuple[DataLoader[Batch], EpochOrder]:
    """The loader and its order; set `order.epoch` before iterating. Workers stay alive from epoch to epoch."""
    order = EpochOrder(len(samples), recipe.run.batch, recipe.run.seed)
    workers = recipe.run.workers
    if workers:
        cv2.setNumThreads(1)  # a forked worker that inherits OpenCV's threads hangs when it ends them
    loader: DataLoader[Batch] = DataLoader(
        TrainingPictures(samples, spec, recipe),
        batch_sampler=order,
        num_workers=workers,
        pin_memory=pin,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_start_worker if workers else None,
    )
    return loader, order


def _start_worker(number: int) -> None:
    """One thread a worker, and after the step in line: workers fill the gaps that the step leaves on a CPU."""
    if hasattr(os, "nice"):
        os.nice(10)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
