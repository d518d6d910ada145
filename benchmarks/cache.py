"""The cache for training: pictures a second of the loader alone, with and without it, its size, and its memory.

No limit of the project: how much it gains depends on how large the pictures are, so two sizes are measured.
python benchmarks/cache.py --root DIR    where DIR holds scut_head/
"""

from __future__ import annotations

import argparse
import mmap
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import cv2
from common import Quiet, save

from passerby.data import load_data
from passerby.data.cache import Cache, side_needed
from passerby.geometry.resize import scale_to
from passerby.learn.loader import cache_of, make_loader
from passerby.learn.network import spec_of
from passerby.pictures import read_picture
from passerby.recipe import Recipe, load_recipe
from passerby.records import SampleSet

ROUNDS, LARGE, WIDE = 5, 300, 1920
EPOCHS = 4


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    recipe = load_recipe("head").set(f"data.root={parser.parse_args().root}")
    small = load_data("voc:scut_head#train_B", recipe.model.labels, recipe.data.root)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe.set(f"data.cache={folder}/cache")
        large = enlarged(small, Path(folder) / "large")
        for name, samples in (("SCUT-HEAD train_B", small), (f"{LARGE} of them, {WIDE} px wide", large)):
            start = time.perf_counter()
            cache = cache_of(samples, recipe, Quiet())
            built = time.perf_counter() - start
            start = time.perf_counter()
            cache = cache_of(samples, recipe, Quiet())
            opened = time.perf_counter() - start
            assert cache is not None
            facts = {
                "files, MB": round(sum(s.path.stat().st_size for s in samples) / 1e6),
                "cache, MB": round(cache.path.stat().st_size / 1e6),
                "shrunk": cache.shrunk(),
                "built, s": f"{built:.1f}",
                "checked and opened, s": f"{opened:.2f}",
            }
            for workers in (1, 2):
                rows += compare(name, samples, recipe.set(f"run.workers={workers}"), cache, facts)
    side = side_needed(recipe)
    title = f"Loader of recipe head alone, {ROUNDS} rounds in turn, pictures shrunk to a shorter side of {side}"
    save("cache", f"{title}; other work ran on the machine (load {os.getloadavg()[2]:.1f})", rows)


def compare(
    name: str, samples: SampleSet, recipe: Recipe, cache: Cache, facts: dict[str, object]
) -> list[dict[str, object]]:
    """A row for pictures and cache on disk only (cold), and one for both in memory (warm)."""
    rates: dict[tuple[str, bool], list[float]] = {}
    for _ in range(ROUNDS):
        for cached in (False, True):
            files = [s.path for s in samples]
            if cached:
                files = [cache.path]
                cache._bytes.madvise(mmap.MADV_DONTNEED)  # what this process has mapped cannot be dropped
            for state in ("cold", "warm"):  # what the cold run has read is in memory for the warm one
                if state == "cold":
                    forget(files)
                rates.setdefault((state, cached), []).append(rate(samples, recipe, cache if cached else None))
    memory = {cached: held(samples, recipe, cache if cached else None) for cached in (False, True)}
    rows = []
    for state in ("cold", "warm"):
        plain, fast = rates[state, False], rates[state, True]
        ratios = [b / a for a, b in zip(plain, fast, strict=True)]
        rows.append(
            {
                "pictures": name,
                "workers": recipe.run.workers,
                "files in memory": "no" if state == "cold" else "yes",
                "decoded, pictures/s": round(median(plain)),
                "cached, pictures/s": round(median(fast)),
                "ratio": f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                "PSS of workers decoding, MB": round(memory[False][0]),
                "PSS of workers with cache, MB": round(memory[True][0]),
                "of that the cache, MB": round(memory[True][1]),
                "were it not shared (RSS), MB": round(memory[True][2]),
                **facts,
            }
        )
    return rows


def rate(samples: SampleSet, recipe: Recipe, cache: Cache | None) -> float:
    """Pictures a second of one epoch, from the second batch on."""
    loader, _ = make_loader(samples, spec_of(recipe.model), recipe, False, cache)
    batches = iter(loader)
    next(batches)
    start = time.perf_counter()
    count = sum(len(batch.pixels) for batch in batches)
    return count / (time.perf_counter() - start)


def held(samples: SampleSet, recipe: Recipe, cache: Cache | None) -> list[float]:
    """After EPOCHS, so that each worker has seen most pictures: PSS of all workers, PSS and RSS of the cache, MB."""
    loader, order = make_loader(samples, spec_of(recipe.model), recipe, False, cache)
    for order.epoch in range(EPOCHS):
        batches = iter(loader)
        for _ in batches:
            pass
    pids = [w.pid for w in batches._workers]  # type: ignore[attr-defined]
    own = [sum(memory_of(pid, "Pss:") for pid in pids)]
    return own + [sum(memory_of(pid, k, str(cache.path)) for pid in pids) if cache else 0.0 for k in ("Pss:", "Rss:")]


def memory_of(pid: int, kind: str, path: str = "") -> float:
    """Pss (a page that n processes share counts 1/n) or Rss (counts in each) of a process, or of a mapped file, MB."""
    total, mine = 0, not path
    for line in Path(f"/proc/{pid}/{'smaps' if path else 'smaps_rollup'}").read_text().splitlines():
        if path and not line.split()[0].endswith(":"):
            mine = line.endswith(path)
        elif mine and line.startswith(kind):
            total += int(line.split()[1])
    return total * 1024 / 1e6


def forget(files: list[Path]) -> None:
    """Have the system drop what it keeps of these files in memory."""
    for path in files:
        f = os.open(path, os.O_RDONLY)
        os.fsync(f)
        os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(f)


def enlarged(samples: SampleSet, folder: Path) -> SampleSet:
    """The first LARGE pictures as JPEGs of WIDE pixels: as heavy to decode as photographs are."""
    folder.mkdir()
    found = []
    for sample in samples[:LARGE]:
        factor = WIDE / sample.width
        height = round(sample.height * factor)
        pixels = scale_to(read_picture(sample.path), WIDE, height)
        path = folder / f"{sample.name}.jpg"
        assert cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
        truth = replace(sample.truth, boxes=sample.truth.boxes * factor)
        found.append(replace(sample, path=path, width=WIDE, height=height, truth=truth))
    return SampleSet(tuple(found), samples.labels, "large")


if __name__ == "__main__":
    main()
